#pragma once
// The other side of proxy_header: saying whose connection or datagram it is.  Pure.
// Source: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
#include <optional>
#include <string>

#include "common/net/socket_address.hpp"

namespace preforkd {

enum class ProxyVersion { V1, V2 };

/// Of the client that is announced; both of one family, of the Internet.
struct ProxyEnds {
    SocketAddress source{};
    SocketAddress destination{};
};

/// What stands before the first byte of a connection, or in a datagram (`socket_type`), which takes version 2.
/// Without `ends` the sender speaks for itself: UNKNOWN, LOCAL.
[[nodiscard]] std::string write_proxy_header(ProxyVersion version, int socket_type,
                                             const std::optional<ProxyEnds>& ends);

}  // namespace preforkd
