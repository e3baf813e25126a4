#pragma once
// Why an endpoint could not be had, as a sentence with its remedy.
#include "common/base/operator_error.hpp"
#include "common/config/settings.hpp"
#include "common/net/port_holder.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd {

/// What to tell the operator when socket(2), bind(2) or listen(2) on `address`, one of those of `wanted`, failed with
/// errno `error`.  Looks for the holder of an address in use, unless that is known by now, and reads /proc for the
/// first port anybody may bind.
[[nodiscard]] OperatorError bind_error(const ListenSettings& wanted, const SocketAddress& address, int error);
[[nodiscard]] OperatorError in_use_error(const ListenSettings& wanted, const SocketAddress& address,
                                         const std::optional<PortHolder>& holder);

/// The same for a name that resolve() could not resolve.
[[nodiscard]] OperatorError resolve_error(const ListenSettings& wanted, const std::system_error& error);

}  // namespace preforkd
