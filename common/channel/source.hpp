#pragma once
// Who a client is to the limits of its listener: all that share a prefix, or a user.  Pure.
#include <bit>
#include <cstdint>
#include <string>

#include "common/base/internet_host.hpp"
#include "common/config/settings.hpp"

namespace preforkd {

/// As it stands in the table that a listener's workers share.
struct Source {
    static constexpr std::uint64_t of_user = 256;    ///< `low`: its number
    static constexpr std::uint64_t of_nobody = 257;  ///< announced without an address

    std::uint64_t high = 0;
    std::uint64_t low = 0;
    std::uint64_t kind = of_nobody;  ///< or the bits of the prefix, of 128
    friend constexpr bool operator==(const Source&, const Source&) = default;
};

[[nodiscard]] constexpr Source source_of(const HostAddress& host, const SourcePrefix& prefix) noexcept {
    const int bits = is_ipv4(host) ? mapped_bits + prefix.ipv4_bits : prefix.ipv6_bits;
    const HostAddress first = first_of(host, bits);
    return {.high = first.high, .low = first.low, .kind = static_cast<std::uint64_t>(bits)};
}

[[nodiscard]] constexpr Source source_of_user(std::uint32_t user) noexcept {
    return {.low = user, .kind = Source::of_user};
}

/// `192.0.2.1`, `2001:db8::/64`, `user 1000`.
[[nodiscard]] std::string to_string(const Source& source);

/// What those who choose their addresses cannot aim: where a source is in the table.
struct SourceHashKey {
    std::uint64_t first = 0;
    std::uint64_t second = 0;
};

/// SipHash-1-3 of its three words.  Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
[[nodiscard]] constexpr std::uint64_t hash_of(const Source& source, const SourceHashKey& key) noexcept {
    std::uint64_t a = key.first ^ 0x736f'6d65'7073'6575;
    std::uint64_t b = key.second ^ 0x646f'7261'6e64'6f6d;
    std::uint64_t c = key.first ^ 0x6c79'6765'6e65'7261;
    std::uint64_t d = key.second ^ 0x7465'6462'7974'6573;
    const auto mix = [&] {
        a += b, b = std::rotl(b, 13) ^ a, a = std::rotl(a, 32);
        c += d, d = std::rotl(d, 16) ^ c;
        a += d, d = std::rotl(d, 21) ^ a;
        c += b, b = std::rotl(b, 17) ^ c, c = std::rotl(c, 32);
    };
    constexpr std::uint64_t length = std::uint64_t{24} << 56;
    for (const std::uint64_t word : {source.high, source.low, source.kind, length}) {
        d ^= word;
        mix();
        a ^= word;
    }
    c ^= 0xff;
    mix(), mix(), mix();
    return a ^ b ^ c ^ d;
}

}  // namespace preforkd
