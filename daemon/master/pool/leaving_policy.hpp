#pragma once
// How long workers that a reload replaces may serve on, and how many of them there may be.  Pure.
#include <algorithm>
#include <chrono>
#include <optional>
#include <span>

#include "common/channel/stopping.hpp"
#include "daemon/master/pool/generation.hpp"

namespace preforkd {

/// A leaving worker ends by itself: when its time is over, and a fast stop later at the latest; only one that is stuck
/// is killed.
inline constexpr std::chrono::milliseconds grace_beyond_time{fast_stop + std::chrono::seconds{2}};

/// How long workers have for their clients whom a reload replaces, or an upgrade: unset: --stop-timeout, as at a stop;
/// zero: for ever.  A session of a program may last for days, and its client cannot begin it anew as he can a request.
[[nodiscard]] constexpr std::optional<std::chrono::milliseconds> reload_time(
    bool runs_programs, const std::optional<std::chrono::milliseconds>& reload_timeout) noexcept {
    if (reload_timeout || !runs_programs) return reload_timeout;
    return std::chrono::milliseconds::zero();
}

/// How many workers of a pool of `size` may be leaving at once: four times as many as serve, each of them with the
/// memory and the descriptors of one; fewer where there are no records for them beside those that serve.
[[nodiscard]] constexpr int most_leaving(int size) noexcept {
    constexpr int per_worker = 4;
    return std::min(per_worker * size, static_cast<int>(most_records) - size);
}

/// What is seen of a leaving worker.
struct LeavingLook {
    std::chrono::milliseconds told_for{};             ///< since it was told to
    std::optional<std::chrono::milliseconds> left{};  ///< until it is killed; unset: it is not
    bool killed = false;                              ///< it was already
};

/// How soon it will be gone.
enum class Leaving {
    Soon,     ///< it was told a moment ago, and most have no client; or it is being ended
    InTime,   ///< within the time of a stop
    NotSoon,  ///< that its clients know
};

/// `stop_timeout` of zero: a stop has no time limit.
[[nodiscard]] constexpr Leaving judge(const LeavingLook& look, std::chrono::milliseconds stop_timeout) noexcept {
    constexpr std::chrono::milliseconds moment{1000};
    constexpr std::chrono::milliseconds fast_end = fast_stop + std::chrono::seconds{1};
    if (look.killed || look.told_for < moment || (look.left && *look.left <= fast_end)) return Leaving::Soon;
    const bool limited = stop_timeout != std::chrono::milliseconds::zero();
    return limited && look.left && *look.left <= stop_timeout + grace_beyond_time ? Leaving::InTime : Leaving::NotSoon;
}

/// The workers of a pool before a reload.
struct SlotView {
    int size = 1;     ///< of the pool
    int staying = 0;  ///< who would be asked to leave
    int soon = 0;     ///< of those that leave already
    int in_time = 0;  ///< likewise
    int not_soon = 0;
};

/// Whether another generation may come, so that those before it leave.
enum class Slots {
    Free,
    SoonFree,    ///< in a moment
    FreeInTime,  ///< within the time of a stop
    Taken,       ///< by who knows how long
};

[[nodiscard]] constexpr Slots judge(const SlotView& view) noexcept {
    const int most = most_leaving(view.size);
    int leaving = view.staying + view.not_soon;
    if (leaving > most) return Slots::Taken;
    if ((leaving += view.in_time) > most) return Slots::FreeInTime;
    return leaving + view.soon > most ? Slots::SoonFree : Slots::Free;
}

/// How many generations have to end for the next one, the oldest first, if each has so many workers that are not gone
/// soon.
[[nodiscard]] constexpr std::size_t generations_to_end(std::span<const int> workers, const SlotView& view) noexcept {
    int leaving = view.staying + view.in_time + view.not_soon;
    std::size_t ended = 0;
    while (leaving > most_leaving(view.size) && ended < workers.size()) leaving -= workers[ended++];
    return ended;
}

static_assert(judge({.size = 1, .staying = 1, .not_soon = 3}) == Slots::Free);
static_assert(judge({.size = 1, .staying = 1, .not_soon = 4}) == Slots::Taken);
static_assert(!reload_time(false, std::nullopt) &&
              reload_time(true, std::nullopt) == std::chrono::milliseconds::zero());

}  // namespace preforkd
