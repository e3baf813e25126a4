#pragma once
#include <algorithm>
#include <chrono>

#include "common/base/clock.hpp"

namespace preforkd {

/// How often something may happen: `burst` times at once, `per_second` times in the long run.  Pure.
class TokenBucket {
public:
    struct Rate {
        double burst = 1;
        double per_second = 1;
    };

    constexpr explicit TokenBucket(Rate rate) noexcept : rate_{rate}, tokens_{rate.burst} {}

    /// It happens; false: too often.
    [[nodiscard]] constexpr bool take(Clock::time_point now) noexcept {
        const std::chrono::duration<double> passed = std::max(now - last_, Clock::duration::zero());
        last_ = std::max(last_, now);
        tokens_ = std::min(rate_.burst, tokens_ + passed.count() * rate_.per_second);
        if (tokens_ < 1) return false;
        tokens_ -= 1;
        return true;
    }

private:
    Rate rate_;
    double tokens_;
    Clock::time_point last_{};
};

}  // namespace preforkd
