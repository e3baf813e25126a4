#include "common/net/local_addresses.hpp"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>

namespace preforkd {

namespace {

std::vector<HostAddress> ask_kernel() {
    ifaddrs* found = nullptr;
    if (::getifaddrs(&found) == -1) return {};
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned{found, &::freeifaddrs};
    std::vector<HostAddress> addresses;
    for (const ifaddrs* each = found; each != nullptr; each = each->ifa_next) {
        if (each->ifa_addr == nullptr) continue;
        const int family = each->ifa_addr->sa_family;
        if (family != AF_INET && family != AF_INET6) continue;
        const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
        if (const auto host = host_address_of({each->ifa_addr, size})) addresses.push_back(*host);
    }
    return addresses;
}

}  // namespace

bool LocalAddresses::contain(const HostAddress& host, Clock::time_point now) {
    if (now >= expire_) {
        addresses_ = ask_kernel();
        expire_ = now + std::chrono::seconds{1};
    }
    return std::ranges::find(addresses_, host) != addresses_.end();
}

bool is_one_of_this_host(const SocketAddress& bound) {
    const auto host = host_address_of(bound);
    return host && (is_loopback(*host) || LocalAddresses{}.contain(*host, Clock::now()));
}

}  // namespace preforkd
