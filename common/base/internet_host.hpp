#pragma once
// The Internet address of a host, without a port, and prefixes of such addresses: one form for IPv4 and IPv6.  Pure.
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace preforkd {

/// The two halves of an IPv6 address, most significant first.  IPv4 is v4-mapped: ipv6(7).
struct HostAddress {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    friend constexpr auto operator<=>(const HostAddress&, const HostAddress&) = default;
};

/// What all v4-mapped addresses have in common.
inline constexpr int mapped_bits = 96;

/// `bytes`: as in a packet, and in in6_addr.
[[nodiscard]] HostAddress ipv6_host(std::span<const std::uint8_t, 16> bytes) noexcept;

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

/// The addresses that begin with the same `bits` of 128.  IPv4 is v4-mapped, so a prefix of it has 96 at least, and one
/// that has fewer holds no IPv4 address.
struct HostPrefix {
    HostAddress first{};
    int bits = 128;
    friend constexpr bool operator==(const HostPrefix&, const HostPrefix&) = default;
};

/// The first of the addresses that begin with the same `bits` as `host`.
[[nodiscard]] constexpr HostAddress first_of(const HostAddress& host, int bits) noexcept {
    constexpr auto ones = ~std::uint64_t{0};
    return {.high = bits >= 64 ? host.high : host.high & ~(ones >> bits),
            .low = bits <= 64    ? 0
                   : bits == 128 ? host.low
                                 : host.low & ~(ones >> (bits - 64))};
}

[[nodiscard]] constexpr bool contains(const HostPrefix& prefix, const HostAddress& host) noexcept {
    if (is_ipv4(host) && prefix.bits < mapped_bits) return false;
    return first_of(host, prefix.bits) == first_of(prefix.first, prefix.bits);
}

/// Reads `192.0.2.0/24`, `2001:db8::/32`, or a single address; brackets, names and zones are none.  Bits behind the
/// length have to be zero: else it is a typing error.  nullopt: it is none.  Source: RFC 4632, 3.1; RFC 4291, 2.3.
[[nodiscard]] std::optional<HostPrefix> parse_host_prefix(std::string_view text);

/// The sentence about a prefix that has bits behind its length, with what may be meant; empty for any other text.
[[nodiscard]] std::string why_no_host_prefix(std::string_view text);

/// The shortest text that parse_host_prefix() reads back.
[[nodiscard]] std::string to_string(const HostPrefix& prefix);

}  // namespace preforkd
