#pragma once
// The host of a socket address.
#include <optional>

#include "common/base/internet_host.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd {

/// nullopt: not of the Internet.
[[nodiscard]] std::optional<HostAddress> host_address_of(const SocketAddress& address) noexcept;

}  // namespace preforkd
