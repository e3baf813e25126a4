#pragma once
// The Internet address of a host, without a port: one form for IPv4 and IPv6.
#include <cstdint>
#include <optional>

#include "common/net/socket_address.hpp"

namespace preforkd {

/// The two halves of an IPv6 address, most significant first.  IPv4 is v4-mapped: ipv6(7).
struct HostAddress {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    friend constexpr bool operator==(const HostAddress&, const HostAddress&) = default;
};

[[nodiscard]] constexpr HostAddress ipv4_host(std::uint32_t number) noexcept {
    return {.high = 0, .low = std::uint64_t{0xffff} << 32 | number};
}

[[nodiscard]] constexpr bool is_ipv4(const HostAddress& host) noexcept {
    return host.high == 0 && host.low >> 32 == 0xffff;
}

[[nodiscard]] constexpr bool is_loopback(const HostAddress& host) noexcept {
    if (is_ipv4(host)) return (host.low >> 24 & 0xff) == 127;
    return host == HostAddress{.high = 0, .low = 1};
}

/// Whether it can be a source at all: not unspecified, not the broadcast address, not multicast.
[[nodiscard]] constexpr bool names_one_host(const HostAddress& host) noexcept {
    if (!is_ipv4(host)) return host != HostAddress{} && host.high >> 56 != 0xff;
    const auto number = static_cast<std::uint32_t>(host.low);
    return number != 0 && number != 0xffff'ffff && number >> 28 != 0xe;
}

/// nullopt: not of the Internet.
[[nodiscard]] std::optional<HostAddress> host_address_of(const SocketAddress& address) noexcept;

}  // namespace preforkd
