#pragma once
// When a program that got a socket (inetd=wait) is started again.  Pure.
#include <algorithm>
#include <chrono>

namespace preforkd {

/// What such a program has done about what it was started for, as far as can be seen.
enum class WaitingRun {
    Useful,   ///< it has taken that, or has lived for long
    Unclear,  ///< it ended well, and somebody is queued: perhaps somebody else
    Vain,     ///< it ended at once, and has left that
};

struct WaitingEnd {
    std::chrono::milliseconds age{};
    bool ended_well = false;  ///< exit code 0
    bool somebody_waits = false;
    bool is_known = false;  ///< who waits is whom it was started for
};

/// One that has lived for a second is started once a second at most, whatever it did.
[[nodiscard]] constexpr WaitingRun judge(const WaitingEnd& end) noexcept {
    if (end.age >= std::chrono::seconds{1} || !end.somebody_waits) return WaitingRun::Useful;
    return end.is_known || !end.ended_well ? WaitingRun::Vain : WaitingRun::Unclear;
}

inline constexpr std::chrono::milliseconds first_pause_of_vain_runs{100};
/// Where nobody can tell, so many runs that leave somebody, one after the other, are more than chance.
inline constexpr int unclear_runs_allowed = 50;

/// How long to wait before it is started for what waits by then.
///
/// @param last  what this said of the run before, 0 of none.
/// @param unclear_before  runs that were unclear, one after the other, until this one.
/// @return 0 ms after a run of use, after one in vain 100 ms doubling up to 30 s; else 20 ms, which is as often as
///         xinetd starts anything, and 1 s when there are too many of these.
///
/// A program that leaves what it was started for is started again by that, thousands of times a second if nobody waits.
/// inetd and xinetd turn such a service off, for ten minutes or for good; here it is only slow.
/// Source: inetd(8), "looping"; xinetd.conf(5), cps.
[[nodiscard]] constexpr std::chrono::milliseconds pause_after(std::chrono::milliseconds last, WaitingRun run,
                                                              int unclear_before = 0) noexcept {
    using namespace std::chrono_literals;
    constexpr std::chrono::milliseconds longest = 30s;
    switch (run) {
        case WaitingRun::Useful: return 0ms;
        case WaitingRun::Unclear: return unclear_before < unclear_runs_allowed ? 20ms : 1000ms;
        case WaitingRun::Vain: return std::clamp(2 * last, first_pause_of_vain_runs, longest);
    }
    return 0ms;
}

}  // namespace preforkd
