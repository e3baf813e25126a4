#pragma once
// How often one source may have us answer.  Pure.
#include <array>
#include <cstdint>
#include <span>

#include "common/base/clock.hpp"
#include "common/base/token_bucket.hpp"
#include "common/net/host_address.hpp"

namespace preforkd {

/// A token bucket for each IPv4 address and each /64 of IPv6, in a table of fixed size.
///
/// Where a set of the table is full, the bucket that is nearest to full makes way: it had the least to remember, and
/// nobody is refused for what another has sent.
class ReplyLimiter {
public:
    static constexpr std::int64_t burst_seconds = 2;  ///< worth of tokens in a full bucket

    /// `per_second`: at least 1.
    explicit constexpr ReplyLimiter(std::uint32_t per_second) noexcept
        : rate_{.burst = burst_seconds * per_second, .per_second = per_second} {}

    /// Takes a token of `host`; false if there is none.
    [[nodiscard]] constexpr bool allow(const HostAddress& host, Clock::time_point now) noexcept {
        const std::uint64_t key = is_ipv4(host) ? host.low : host.high;
        return bucket_of(key).tokens.take(rate_, now);
    }

private:
    struct Bucket {
        std::uint64_t key = 0;
        TokenBucket tokens{};
    };

    static constexpr std::size_t ways = 4;
    static constexpr int set_bits = 8;

    constexpr Bucket& bucket_of(std::uint64_t key) noexcept {
        constexpr std::uint64_t golden = 0x9e37'79b9'7f4a'7c15;  // Fibonacci hashing: the high bits are well mixed
        const std::size_t first = (key * golden >> (64 - set_bits)) * ways;
        const std::span<Bucket> set{buckets_.data() + first, ways};
        Bucket* nearest_to_full = set.data();
        for (Bucket& each : set) {
            if (each.key == key) return each;
            if (each.tokens.full_at() < nearest_to_full->tokens.full_at()) nearest_to_full = &each;
        }
        *nearest_to_full = {.key = key};
        return *nearest_to_full;
    }

    TokenRate rate_;
    std::array<Bucket, ways << set_bits> buckets_{};
};

}  // namespace preforkd
