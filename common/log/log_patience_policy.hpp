#pragma once
// How long a worker waits for the process that writes its lines, before it drops one.  Pure.
#include <chrono>

#include "common/base/clock.hpp"

namespace preforkd {

/// A pipe holds what a worker logs in some milliseconds when it does nothing else, and that process may not have had a
/// processor for as long.  So somebody who finds the pipe full waits, for as short a time and so rarely that a log that
/// hangs is not felt: a hundredth of its time, and 50 ms at the beginning; where waiting was in vain, not again soon.
inline constexpr std::chrono::milliseconds longest_wait_for_log{10};

/// `spent_until`: what earlier waits have cost, see after_wait(); at first the epoch.
[[nodiscard]] constexpr bool may_wait_for_log(Clock::time_point spent_until, Clock::time_point now) noexcept {
    constexpr std::chrono::seconds at_once{5};
    return spent_until - now < at_once;
}

/// What is spent once somebody has waited until `now`, for `waited`.
[[nodiscard]] constexpr Clock::time_point after_wait(Clock::time_point spent_until, Clock::time_point now,
                                                     Clock::duration waited, bool in_vain) noexcept {
    constexpr int share = 100;
    constexpr std::chrono::seconds pause{10};
    if (in_vain) return now + pause;
    return (spent_until > now ? spent_until : now) + share * waited;
}

static_assert(may_wait_for_log({}, Clock::time_point{} + std::chrono::seconds{1}));
static_assert(!may_wait_for_log(after_wait({}, Clock::time_point{}, longest_wait_for_log, true), Clock::time_point{}));
static_assert(!may_wait_for_log(after_wait({}, Clock::time_point{}, std::chrono::milliseconds{50}, false),
                                Clock::time_point{}));
static_assert(may_wait_for_log(after_wait({}, Clock::time_point{}, std::chrono::milliseconds{50}, false),
                               Clock::time_point{} + std::chrono::milliseconds{1}));

}  // namespace preforkd
