#pragma once
// When to say that clients queue because all workers are full, and what helps.  Pure.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/channel/channel.hpp"
#include "preforkd/handlers.hpp"

namespace preforkd {

/// What is seen in one look.
struct QueueLook {
    Clock::time_point at{};
    bool all_full = false;       ///< every worker is at its limit, and there will be no more of them
    bool clients_wait = false;   ///< in the kernel's queues
    std::uint64_t queued = 0;    ///< how many, as far as the kernel tells
    std::uint64_t accepted = 0;  ///< by all workers, ever

    friend constexpr bool operator==(const QueueLook&, const QueueLook&) = default;
};

/// What several looks have come to.
struct QueueHistory {
    std::optional<QueueLook> first{};  ///< the one that found clients of whom some still wait
    Deadline warned_at{};
    Clock::time_point told_at{};  ///< when a worker last told that it is at its limit
    Deadline next_look{};         ///< unset: until a worker tells
    std::chrono::milliseconds pause{};

    friend constexpr bool operator==(const QueueHistory&, const QueueHistory&) = default;
};

struct QueuePlan {
    QueueHistory history{};
    bool warn = false;
};

inline constexpr std::chrono::seconds shortest_queue_pause{1};

/// A worker tells that it is at its limit.
[[nodiscard]] constexpr QueueHistory told_full(QueueHistory history, Clock::time_point now) noexcept {
    history.told_at = now;
    history.next_look = earlier(history.next_look, now + shortest_queue_pause);
    return history;
}

/// Adds a look.
///
/// A queue that is never empty is no fault yet: what counts is that a client of more than a second ago still waits.
/// Queues are served in turn, so that is so while fewer have been accepted since than were queued then.  While all are
/// full and nobody waits the looks become rarer, up to every 15 s; when a worker has capacity they go on for as long as
/// workers may keep it to themselves that they are at their limit again.
[[nodiscard]] constexpr QueuePlan look_again(const QueueHistory& before, const QueueLook& look) noexcept {
    constexpr std::chrono::milliseconds long_wait{1000};
    constexpr std::chrono::minutes between_warnings{1};
    constexpr std::chrono::milliseconds longest_pause{15'000};

    QueuePlan plan{
        .history = {.warned_at = before.warned_at, .told_at = before.told_at, .pause = shortest_queue_pause}};
    QueueHistory& history = plan.history;
    if (look.all_full && look.clients_wait) {
        const bool same_clients =
            before.first && look.accepted - before.first->accepted < std::max<std::uint64_t>(before.first->queued, 1);
        history.first = same_clients ? before.first : look;
        plan.warn = look.at - history.first->at >= long_wait &&
                    (!before.warned_at || look.at - *before.warned_at >= between_warnings);
        if (plan.warn) history.warned_at = look.at;
        history.next_look = look.at + history.pause;
    } else if (look.all_full) {
        history.pause = std::clamp<std::chrono::milliseconds>(2 * before.pause, shortest_queue_pause, longest_pause);
        history.next_look = look.at + history.pause;
    } else if (look.at - before.told_at <= between_full_reports) {
        history.next_look = look.at + history.pause;
    }
    return plan;
}

/// What an operator can change, for workers that serve in that way.  `short_of_files`: open files allow them fewer
/// connections than --connections asks for.
[[nodiscard]] constexpr std::string_view what_helps(Model model, bool serves_program, bool short_of_files) noexcept {
    if (model != Model::Serial)
        return short_of_files ? "raise RLIMIT_NOFILE (systemd: LimitNOFILE=) or --workers"
                              : "raise --connections or --workers";
    return serves_program ? "raise --workers, or serve several at once with --model fork"
                          : "raise --workers, or serve several at once with --model thread";
}

/// The same, of workers that an endpoint has for itself, with so many connections each.
[[nodiscard]] constexpr std::string_view what_helps_service(std::size_t connections) noexcept {
    return connections > 1 ? "raise its workers= or connections="
                           : "raise its workers=, or serve several at once with another model=";
}

}  // namespace preforkd
