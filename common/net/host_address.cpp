#include "common/net/host_address.hpp"

#include <endian.h>
#include <netinet/in.h>

#include <cstring>

namespace preforkd {

std::optional<HostAddress> host_address_of(const SocketAddress& address) noexcept {
    if (address.family() == AF_INET) return ipv4_host(ntohl(address.as<sockaddr_in>().sin_addr.s_addr));
    if (address.family() != AF_INET6) return std::nullopt;
    const auto raw = address.as<sockaddr_in6>();
    HostAddress host;
    std::memcpy(&host, raw.sin6_addr.s6_addr, sizeof host);
    return HostAddress{.high = be64toh(host.high), .low = be64toh(host.low)};
}

}  // namespace preforkd
