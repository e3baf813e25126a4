#include "common/net/socket_address.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

#include "common/base/sys_error.hpp"

namespace preforkd {
namespace {

constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);

/// As inet_ntop(3), which prints with sprintf: more than six times slower, for each client and datagram.
std::string host_of(const sockaddr_in& address) {
    std::string host{"255.255.255.255"};  // as long as any; and what follows is without libc, see child_path.ld
    char* end = host.data();
    const std::uint32_t number = ntohl(address.sin_addr.s_addr);
    for (const int shift : {24, 16, 8, 0}) {
        const std::uint32_t part = number >> shift & 0xff;
        if (part >= 100) *end++ = static_cast<char>('0' + part / 100);
        if (part >= 10) *end++ = static_cast<char>('0' + part / 10 % 10);
        *end++ = static_cast<char>('0' + part % 10);
        if (shift != 0) *end++ = '.';
    }
    host.erase(static_cast<std::size_t>(end - host.data()));
    return host;
}

std::string host_of(const sockaddr_in6& address) {
    char text[INET6_ADDRSTRLEN]{};
    std::string host = ::inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof text);
    if (address.sin6_scope_id != 0) {  // fe80::1 alone does not say on which wire
        char name[IF_NAMESIZE]{};
        host += '%';
        host += ::if_indextoname(address.sin6_scope_id, name) != nullptr ? name : std::to_string(address.sin6_scope_id);
    }
    return host;
}

/// A pathname may fill sun_path without a terminating NUL; an abstract name may contain NULs.  Source: unix(7).
Endpoint unix_endpoint(const SocketAddress& address, Transport transport) {
    Endpoint endpoint{.transport = transport};
    if (address.size() <= path_offset) return endpoint;
    const auto raw = address.as<sockaddr_un>();
    const std::size_t length = std::min<std::size_t>(address.size() - path_offset, sizeof raw.sun_path);
    endpoint.abstract = raw.sun_path[0] == '\0';
    endpoint.path = endpoint.abstract ? std::string(raw.sun_path + 1, length - 1)
                                      : std::string(raw.sun_path, ::strnlen(raw.sun_path, length));
    return endpoint;
}

SocketAddress unix_address(const Endpoint& endpoint) {
    sockaddr_un raw{};
    raw.sun_family = AF_UNIX;
    // An empty pathname would make the kernel choose an abstract name (autobind), a NUL would cut the path short.
    const bool cut = !endpoint.abstract && endpoint.path.find('\0') != std::string::npos;
    if (endpoint.path.empty() || cut) throw std::system_error{EINVAL, std::generic_category(), to_string(endpoint)};
    if (endpoint.path.size() >= sizeof raw.sun_path)
        throw std::system_error{ENAMETOOLONG, std::generic_category(), to_string(endpoint)};
    // Both kinds take one byte more than the name: a leading NUL for an abstract one, a trailing NUL for a path.
    std::memcpy(raw.sun_path + (endpoint.abstract ? 1 : 0), endpoint.path.data(), endpoint.path.size());
    const auto size = static_cast<socklen_t>(path_offset + 1 + endpoint.path.size());
    return {reinterpret_cast<const sockaddr*>(&raw), size};
}

class AddrinfoCategory final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "addrinfo"; }
    [[nodiscard]] std::string message(int error) const override { return ::gai_strerror(error); }
};

}  // namespace

SocketAddress::SocketAddress(const sockaddr* address, socklen_t size) noexcept {
    resize(size);
    std::memcpy(&storage_, address, size_);
}

SocketAddress SocketAddress::local_of(int fd) {
    SocketAddress address;
    socklen_t size = capacity();
    check(::getsockname(fd, address.data(), &size), "getsockname");
    address.resize(size);
    return address;
}

SocketAddress SocketAddress::peer_of(int fd) {
    SocketAddress address;
    socklen_t size = capacity();
    check(::getpeername(fd, address.data(), &size), "getpeername");
    address.resize(size);
    return address;
}

std::uint16_t SocketAddress::port() const noexcept {
    if (family() == AF_INET) return ntohs(as<sockaddr_in>().sin_port);
    if (family() == AF_INET6) return ntohs(as<sockaddr_in6>().sin6_port);
    return 0;
}

bool SocketAddress::is_wildcard() const noexcept {
    if (family() == AF_INET) return as<sockaddr_in>().sin_addr.s_addr == htonl(INADDR_ANY);
    if (family() != AF_INET6) return false;
    const auto raw = as<sockaddr_in6>();
    return IN6_IS_ADDR_UNSPECIFIED(&raw.sin6_addr);
}

SocketAddress SocketAddress::with_port(std::uint16_t port) const noexcept {
    SocketAddress changed = *this;
    if (family() == AF_INET) {
        auto raw = as<sockaddr_in>();
        raw.sin_port = htons(port);
        std::memcpy(&changed.storage_, &raw, sizeof raw);
    } else if (family() == AF_INET6) {
        auto raw = as<sockaddr_in6>();
        raw.sin6_port = htons(port);
        std::memcpy(&changed.storage_, &raw, sizeof raw);
    }
    return changed;
}

SocketAddress SocketAddress::unmapped() const noexcept {
    if (family() != AF_INET6) return *this;
    const auto raw = as<sockaddr_in6>();
    if (!IN6_IS_ADDR_V4MAPPED(&raw.sin6_addr)) return *this;
    sockaddr_in inner{};
    inner.sin_family = AF_INET;
    inner.sin_port = raw.sin6_port;
    std::memcpy(&inner.sin_addr, raw.sin6_addr.s6_addr + 12, sizeof inner.sin_addr);
    return {reinterpret_cast<const sockaddr*>(&inner), sizeof inner};
}

Endpoint SocketAddress::to_endpoint(int socket_type) const {
    const bool datagram = socket_type == SOCK_DGRAM;
    const Transport ip = datagram ? Transport::Udp : Transport::Tcp;
    if (family() == AF_INET) return {.transport = ip, .host = host_of(as<sockaddr_in>()), .port = port()};
    const SocketAddress plain = unmapped();
    switch (plain.family()) {
        case AF_INET: return {.transport = ip, .host = host_of(plain.as<sockaddr_in>()), .port = port()};
        case AF_INET6: return {.transport = ip, .host = host_of(plain.as<sockaddr_in6>()), .port = port()};
        case AF_UNSPEC:
        case AF_UNIX: return unix_endpoint(*this, datagram ? Transport::UnixDatagram : Transport::Unix);
        default: throw std::invalid_argument{"address family " + std::to_string(family()) + " is not served"};
    }
}

bool operator==(const SocketAddress& left, const SocketAddress& right) noexcept {
    if (left.family() != right.family() || left.port() != right.port()) return false;
    if (left.family() == AF_INET)
        return left.as<sockaddr_in>().sin_addr.s_addr == right.as<sockaddr_in>().sin_addr.s_addr;
    if (left.family() == AF_INET6) {
        const auto a = left.as<sockaddr_in6>();
        const auto b = right.as<sockaddr_in6>();
        return IN6_ARE_ADDR_EQUAL(&a.sin6_addr, &b.sin6_addr) && a.sin6_scope_id == b.sin6_scope_id;
    }
    return left.size_ == right.size_ && std::memcmp(&left.storage_, &right.storage_, left.size_) == 0;
}

int socket_type_of(Transport transport) noexcept { return is_datagram(transport) ? SOCK_DGRAM : SOCK_STREAM; }

const std::error_category& addrinfo_category() noexcept {
    static const AddrinfoCategory category;
    return category;
}

std::vector<SocketAddress> resolve(const Endpoint& endpoint) {
    if (endpoint.transport == Transport::Unix || endpoint.transport == Transport::UnixDatagram)
        return {unix_address(endpoint)};
    if (endpoint.transport == Transport::Passed)
        throw std::invalid_argument{to_string(endpoint) + " is a descriptor, not an address"};

    // No AI_ADDRCONFIG: it ignores loopback, so on a machine without network even ::1 would not resolve.
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICSERV | (endpoint.host.empty() ? AI_PASSIVE : 0);
    hints.ai_socktype = socket_type_of(endpoint.transport);
    addrinfo* found = nullptr;
    const char* host = endpoint.host.empty() ? nullptr : endpoint.host.c_str();
    const int error = ::getaddrinfo(host, std::to_string(endpoint.port).c_str(), &hints, &found);
    if (error == EAI_SYSTEM) throw_errno(to_string(endpoint));
    if (error != 0) throw std::system_error{error, addrinfo_category(), to_string(endpoint)};
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned{found, &::freeaddrinfo};

    std::vector<SocketAddress> addresses;
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
        const SocketAddress address{each->ai_addr, each->ai_addrlen};
        if (std::ranges::find(addresses, address) == addresses.end()) addresses.push_back(address);
    }
    if (endpoint.host.empty())
        std::stable_partition(addresses.begin(), addresses.end(),
                              [](const auto& each) { return each.family() == AF_INET6; });
    return addresses;
}

Endpoint local_endpoint(int fd) {
    int type = 0;
    socklen_t size = sizeof type;
    check(::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size), "getsockopt SO_TYPE");
    const SocketAddress address = SocketAddress::local_of(fd);
    Endpoint endpoint = address.to_endpoint(type);
    if (address.family() == AF_INET6 && address.is_wildcard()) {
        int only = 0;
        size = sizeof only;
        check(::getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size), "getsockopt IPV6_V6ONLY");
        if (only == 0) endpoint.host.clear();
    }
    return endpoint;
}

}  // namespace preforkd
