#include "common/net/host_address.hpp"

#include <netinet/in.h>

namespace preforkd {

std::optional<HostAddress> host_address_of(const SocketAddress& address) noexcept {
    if (address.family() == AF_INET) return ipv4_host(ntohl(address.as<sockaddr_in>().sin_addr.s_addr));
    if (address.family() != AF_INET6) return std::nullopt;
    return ipv6_host(address.as<sockaddr_in6>().sin6_addr.s6_addr);
}

}  // namespace preforkd
