#pragma once
// How often something may happen.  Pure.
#include <algorithm>
#include <chrono>
#include <cstdint>

#include "common/base/clock.hpp"

namespace preforkd {

/// `burst` times at once, `per_second` times in the long run; both at least 1.
struct TokenRate {
    std::int64_t burst = 1;
    std::int64_t per_second = 1;

    [[nodiscard]] constexpr std::chrono::nanoseconds per_token() const noexcept {
        return std::chrono::nanoseconds{std::chrono::seconds{1}} / per_second;
    }
};

/// A bucket of tokens, kept as the time at which it will be full again.  Source: GCRA, ITU-T I.371.
class TokenBucket {
public:
    /// It happens; false: too often.
    [[nodiscard]] constexpr bool take(const TokenRate& rate, Clock::time_point now) noexcept {
        const auto full_at = std::max(full_at_, now) + rate.per_token();
        if (full_at - now > rate.burst * rate.per_token()) return false;
        full_at_ = full_at;
        return true;
    }

    [[nodiscard]] constexpr Clock::time_point full_at() const noexcept { return full_at_; }

private:
    Clock::time_point full_at_{};
};

}  // namespace preforkd
