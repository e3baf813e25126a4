#pragma once
// Why an endpoint could not be had, as a sentence with its remedy.
#include "common/base/operator_error.hpp"
#include "common/config/settings.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd {

/// What to tell the operator when socket(2), bind(2) or listen(2) on `address`, one of those of `wanted`, failed with
/// errno `error`.  Reads /proc for the holder of an address in use and for the first port anybody may bind.
[[nodiscard]] OperatorError bind_error(const ListenSettings& wanted, const SocketAddress& address, int error);

/// The same for a name that resolve() could not resolve.
[[nodiscard]] OperatorError resolve_error(const ListenSettings& wanted, const std::system_error& error);

}  // namespace preforkd
