#pragma once
// The master's life as a pure function.  See the table above step().
#include <chrono>
#include <variant>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/overloaded.hpp"

namespace preforkd {

enum class Phase {
    Starting,
    Running,
    Withdrawing,  ///< serves as before, but tells load balancers to send clients elsewhere
    Draining,     ///< takes nobody new, finishes what runs
    Killing,
    Stopped
};

[[nodiscard]] constexpr const char* name_of(Phase phase) noexcept {
    switch (phase) {
        case Phase::Starting: return "starting";
        case Phase::Running: return "running";
        case Phase::Withdrawing: return "withdrawing";
        case Phase::Draining: return "draining";
        case Phase::Killing: return "killing";
        case Phase::Stopped: return "stopped";
    }
    return "";
}

enum class Urgency { Graceful, Fast };

struct Lifecycle {
    Phase phase = Phase::Starting;
    Deadline deadline{};  ///< when patience with the current phase ends
    int exit_code = 0;
    friend bool operator==(const Lifecycle&, const Lifecycle&) = default;
};

/// Every worker of the first generation has reported in.  Like the next two a condition, offered in every round while
/// it holds: an edge would be missed by a stop that arrives while all workers wait for respawn.
struct PoolReady {};
struct PoolHopeless {  ///< no worker ever became ready, and trying again makes no sense
    Clock::time_point at{};
};
struct PoolEmpty {};  ///< no worker lives, nor anything that a worker had started
struct StopRequested {
    Urgency urgency{};
    Clock::time_point at{};
};
struct DeadlinePassed {
    Clock::time_point at{};
};
struct StartExtended {  ///< a worker that starts has asked for time: a condition
    Clock::time_point until{};
};
using Event = std::variant<PoolReady, PoolHopeless, PoolEmpty, StopRequested, DeadlinePassed, StartExtended>;

enum class Action {
    AnnounceReady,
    AnnounceStopping,
    CloseListeners,
    AskWorkersToFinish,
    TerminateWorkers,
    KillWorkers
};

/// EX_UNAVAILABLE, sysexits.h: no worker of the first generation became ready.
inline constexpr int never_ready = 69;

/// Zero is no limit for `drain`, and no phase of its own for `withdraw`.
struct Timeouts {
    std::chrono::milliseconds withdraw{};
    std::chrono::milliseconds drain{};
    std::chrono::milliseconds terminate{};
};
struct Step {
    Lifecycle next{};
    std::vector<Action> actions{};
};

/// Advances the master by one event.
///
///   phase \ event   PoolReady   PoolHopeless       StopRequested           DeadlinePassed      PoolEmpty
///                                                  graceful      fast
///   Starting        Running     Killing, exit 69   Draining      Killing   Killing, exit 69    -  (respawn is the
///   Running         -           -                  Withdrawing*  Killing   -                   -   pool's business)
///   Withdrawing     -           -                  Draining      Killing   Draining            -
///   Draining        -           -                  Killing       Killing   Killing             Stopped
///   Killing         -           -                  -             -         Killing (SIGKILL)   Stopped
///   Stopped         -           -                  -             -         -                   -
///
/// StartExtended moves the deadline of Starting, never to an earlier time, and is nothing elsewhere.
///
/// * Draining when there is nothing to wait for: no --drain-delay.  While it starts nobody sends clients yet.
///
/// The phase only ever moves to the right of the list in `Phase`, so a repeated or late signal can hurry a shutdown
/// along but never undo it.
[[nodiscard]] inline Step step(const Lifecycle& now, const Event& event, const Timeouts& limits) {
    using enum Phase;
    using enum Action;
    const Step unchanged{now, {}};

    /// What leads up to `last`: each of it is done once, whichever phases are left out.
    const auto stop_by = [&](Action last) {
        std::vector<Action> actions;
        if (now.phase < Withdrawing) actions.push_back(AnnounceStopping);
        if (now.phase < Draining) actions.push_back(CloseListeners);
        actions.push_back(last);
        return actions;
    };
    const auto drain = [&](Clock::time_point at) {
        return Step{{Draining, deadline_after(at, limits.drain), now.exit_code}, stop_by(AskWorkersToFinish)};
    };
    const auto terminate = [&](Clock::time_point at, int exit_code) {
        return Step{{Killing, at + limits.terminate, exit_code}, stop_by(TerminateWorkers)};
    };
    const auto stop_gracefully = [&](Clock::time_point at) -> Step {
        if (now.phase == Draining) return terminate(at, now.exit_code);
        const bool withdraws = now.phase == Running && limits.withdraw > std::chrono::milliseconds::zero();
        if (!withdraws) return drain(at);
        return {{Withdrawing, at + limits.withdraw, now.exit_code}, {AnnounceStopping}};
    };

    return std::visit(overloaded{
                          [&](PoolReady) -> Step {
                              if (now.phase != Starting) return unchanged;
                              return {{Running, std::nullopt, 0}, {AnnounceReady}};
                          },
                          [&](const PoolHopeless& hopeless) -> Step {
                              if (now.phase != Starting) return unchanged;
                              return terminate(hopeless.at, never_ready);
                          },
                          [&](PoolEmpty) -> Step {
                              if (now.phase != Draining && now.phase != Killing) return unchanged;
                              return {{Stopped, std::nullopt, now.exit_code}, {}};
                          },
                          [&](const StopRequested& stop) -> Step {
                              if (now.phase >= Killing) return unchanged;
                              return stop.urgency == Urgency::Fast ? terminate(stop.at, now.exit_code)
                                                                   : stop_gracefully(stop.at);
                          },
                          [&](const DeadlinePassed& late) -> Step {
                              switch (now.phase) {
                                  case Starting: return terminate(late.at, never_ready);
                                  case Withdrawing: return drain(late.at);
                                  case Draining: return terminate(late.at, now.exit_code);
                                  case Killing:
                                      return {{Killing, late.at + limits.terminate, now.exit_code}, {KillWorkers}};
                                  case Running:
                                  case Stopped: return unchanged;
                              }
                              return unchanged;
                          },
                          [&](const StartExtended& more) -> Step {
                              if (now.phase != Starting || !now.deadline || *now.deadline >= more.until)
                                  return unchanged;
                              return {{Starting, more.until, now.exit_code}, {}};
                          },
                      },
                      event);
}

}  // namespace preforkd
