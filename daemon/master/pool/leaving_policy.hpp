#pragma once
// How long workers that a reload replaces may serve on, and how many of them there may be.  Pure.
#include <chrono>
#include <optional>

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

static_assert(!reload_time(false, std::nullopt) &&
              reload_time(true, std::nullopt) == std::chrono::milliseconds::zero());

}  // namespace preforkd
