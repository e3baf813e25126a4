#pragma once
// How often one source may have us answer.  Pure.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <span>

#include "common/base/clock.hpp"
#include "common/net/host_address.hpp"

namespace preforkd {

/// A token bucket for each IPv4 address and each /64 of IPv6, in a table of fixed size.
///
/// A bucket is kept as the time at which it will be full again (GCRA).  Where a set of the table is full, the bucket
/// that is nearest to full makes way: it had the least to remember, and nobody is refused for what another has sent.
class ReplyLimiter {
public:
    static constexpr std::chrono::nanoseconds burst = std::chrono::seconds{2};  ///< worth of tokens in a full bucket

    /// `per_second`: at least 1.
    explicit constexpr ReplyLimiter(std::uint32_t per_second) noexcept
        : per_token_ns_{std::chrono::nanoseconds{std::chrono::seconds{1}}.count() / per_second} {}

    /// Takes a token of `host`; false if there is none.
    [[nodiscard]] constexpr bool allow(const HostAddress& host, Clock::time_point now) noexcept {
        const std::uint64_t key = is_ipv4(host) ? host.low : host.high;
        const std::int64_t now_ns = std::chrono::nanoseconds{now.time_since_epoch()}.count();
        Bucket& bucket = bucket_of(key);
        const std::int64_t full_at_ns = std::max(bucket.full_at_ns, now_ns) + per_token_ns_;
        if (full_at_ns - now_ns > burst.count()) return false;
        bucket.full_at_ns = full_at_ns;
        return true;
    }

private:
    struct Bucket {
        std::uint64_t key = 0;
        std::int64_t full_at_ns = 0;
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
            if (each.full_at_ns < nearest_to_full->full_at_ns) nearest_to_full = &each;
        }
        *nearest_to_full = {.key = key};
        return *nearest_to_full;
    }

    std::int64_t per_token_ns_;
    std::array<Bucket, ways << set_bits> buckets_{};
};

}  // namespace preforkd
