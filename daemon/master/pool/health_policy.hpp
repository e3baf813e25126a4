#pragma once
// Which workers hang or stand still, what to do about it, and whether the pool is healthy.  Pure.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "common/channel/scoreboard.hpp"

namespace preforkd {

/// What is seen of a worker in one look.
struct WorkerLook {
    WorkerState state{};
    std::int64_t since_ns = 0;        ///< as its record says: when it came to be so, or its last sign of life
    std::chrono::milliseconds age{};  ///< of that
    bool stopped = false;             ///< by a signal; it may go on at any time
};

/// What several looks at a worker have come to.  Only time in which the master was awake itself counts: after a
/// suspended machine, a frozen cgroup or a stopped process group nobody had the chance to go on.
struct HealthHistory {
    std::int64_t since_ns = 0;                           ///< as of the last look
    std::chrono::milliseconds busy{};                    ///< in handler code, without a sign of life
    std::optional<std::chrono::milliseconds> stopped{};  ///< by a signal, since the look that found it so
    bool asked = false;                                  ///< for a sign of life, which has not come

    friend bool operator==(const HealthHistory&, const HealthHistory&) = default;
};

/// How much of the time since the last look the master was awake, which had planned to look after `planned`.
/// A gap that is longer than the plan by more than a busy machine explains was no time at all.
[[nodiscard]] constexpr std::chrono::milliseconds awake_of(std::chrono::milliseconds gap,
                                                           std::chrono::milliseconds planned) noexcept {
    constexpr std::chrono::milliseconds late{1000};
    return gap > planned + late ? std::chrono::milliseconds{0} : gap;
}

/// Adds a look to a history, after the master was `awake` for so long.
[[nodiscard]] constexpr HealthHistory look_again(const HealthHistory& before, const WorkerLook& look,
                                                 std::chrono::milliseconds awake) noexcept {
    // It went on until the first of these looks, which follows the stop at once.
    if (look.stopped)
        return {.since_ns = look.since_ns,
                .stopped = before.stopped ? *before.stopped + awake : std::chrono::milliseconds{0}};
    if (look.state != WorkerState::InHandler) return {.since_ns = look.since_ns};
    if (look.since_ns != before.since_ns)
        return {.since_ns = look.since_ns, .busy = std::clamp(look.age, std::chrono::milliseconds{0}, awake)};
    return {.since_ns = look.since_ns, .busy = before.busy + awake, .asked = before.asked};
}

enum class Verdict {
    Well,
    Ask,      ///< a coroutine that waits for something other than its client leaves the state as it was: ask it
    Hung,     ///< handler code has run for longer than --worker-timeout and gives no sign of life
    Lifeless  ///< stopped by a signal for so long that nobody will continue it
};

/// `timeout`: --worker-timeout; zero: nobody hangs.  Waiting for a client is idle, not hung.
[[nodiscard]] constexpr Verdict judge(const HealthHistory& history, std::chrono::milliseconds timeout) noexcept {
    constexpr std::chrono::milliseconds patience_without_timeout{2000};
    const bool never = timeout.count() == 0;
    if (history.stopped && *history.stopped > (never ? patience_without_timeout : timeout)) return Verdict::Lifeless;
    if (never) return Verdict::Well;
    if (history.busy > timeout && history.asked) return Verdict::Hung;
    return history.busy > timeout / 2 ? Verdict::Ask : Verdict::Well;
}

/// When to look next: while somebody is stopped, who may have taken a wake-up with it, every 100 ms; else as rarely as
/// the timeout allows, at most every 15 s; unset: never.  `busiest`: the longest that a worker has been busy.
[[nodiscard]] constexpr std::optional<std::chrono::milliseconds> until_next_look(std::chrono::milliseconds timeout,
                                                                                 std::chrono::milliseconds busiest,
                                                                                 bool any_stopped) noexcept {
    constexpr std::chrono::milliseconds while_stopped{100};
    constexpr std::chrono::milliseconds shortest{10};
    constexpr std::chrono::milliseconds longest{15'000};
    if (any_stopped) return while_stopped;
    if (timeout.count() == 0) return std::nullopt;
    const auto period = std::clamp(timeout / 4, shortest, longest);
    // One that will hang soon does so on time.
    const auto left = timeout - busiest + std::chrono::milliseconds{1};
    return busiest > timeout / 2 ? std::clamp(left, shortest, period) : period;
}

/// Whether the watchdog may be fed: more workers go on than hang.  A pool that is being respawned is not stuck, and a
/// restart of the service would not help it.
[[nodiscard]] constexpr bool has_quorum(int workers, int hung) noexcept { return workers == 0 || 2 * hung < workers; }

static_assert(has_quorum(8, 3) && !has_quorum(8, 4) && !has_quorum(1, 1));

}  // namespace preforkd
