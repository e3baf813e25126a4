#pragma once
// The one clock: monotonic, so that a step of the wall clock ends no deadline.
#include <chrono>
#include <ctime>
#include <optional>

namespace preforkd {

using Clock = std::chrono::steady_clock;  ///< CLOCK_MONOTONIC in libstdc++, the same for all processes of a machine

/// The same clock as of its last tick, for a fifth of the price; what must not end early adds a longest_tick.
/// Source: CLOCK_MONOTONIC_COARSE, clock_gettime(2).
inline constexpr std::chrono::milliseconds longest_tick{10};
[[nodiscard]] inline Clock::time_point recent_time() noexcept {
    ::timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return Clock::time_point{std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec}};
}

/// The same clock, without a call into libstdc++, whose code a forked child would have to map for it.
[[nodiscard]] inline Clock::time_point exact_time() noexcept {
    ::timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return Clock::time_point{std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec}};
}

/// A point in time that may never come.  Zero patience in the settings means never.
using Deadline = std::optional<Clock::time_point>;

[[nodiscard]] constexpr Deadline deadline_after(Clock::time_point now, std::chrono::milliseconds patience) noexcept {
    if (patience == std::chrono::milliseconds::zero()) return std::nullopt;
    return now + patience;
}

/// The one that comes first; never loses against any.
[[nodiscard]] constexpr Deadline earlier(Deadline a, Deadline b) noexcept {
    if (!a) return b;
    if (!b) return a;
    return *a < *b ? a : b;
}

[[nodiscard]] constexpr bool has_passed(Deadline deadline, Clock::time_point now) noexcept {
    return deadline && *deadline <= now;
}

}  // namespace preforkd
