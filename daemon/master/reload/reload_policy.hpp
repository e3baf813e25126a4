#pragma once
// The life of a reload as a pure function.  See the table above step().
#include <chrono>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/overloaded.hpp"

namespace preforkd {

enum class ReloadPhase {
    Idle,
    Waiting,   ///< asked for, but the pool is not ready yet, or too many workers are leaving
    Clearing,  ///< the same, and the oldest of those are ended
    Loading,   ///< the settings are being read, handlers are being tried, or an address is waited for
    Booting,   ///< the next generation has been forked
    Leaving,   ///< it serves; those before it have been told to leave, and may take one more client until they hear it
};

struct Reload {
    ReloadPhase phase = ReloadPhase::Idle;
    ReloadPhase then = ReloadPhase::Idle;  ///< what follows; not Idle: asked for once more since the next generation
                                           ///< read its settings
    Deadline deadline{};                   ///< Booting: ready by then; Leaving: not waited for any longer
    friend bool operator==(const Reload&, const Reload&) = default;
};

struct ReloadAsked {
    bool force = false;  ///< rather end the oldest workers that leave than wait for them, or be refused
};
struct GenerationAllowed {};  ///< the pool is ready, and those that would leave have slots: a condition
struct SlotsLacking {         ///< they have none: a condition
    bool for_long = false;    ///< nor will they soon
};
struct LoadingGoesOn {};    ///< something may have come true that it waits for: a condition
struct GenerationBooting {  ///< its settings are good, its listeners open
    Deadline deadline{};
};
struct BootExtended {  ///< a worker of it has asked for time: a condition
    Clock::time_point until{};
};
struct GenerationRefused {};   ///< they are not, and the reload is over
struct GenerationReady {};     ///< all of its workers have reported in: a condition
struct GenerationHopeless {};  ///< none ever did, and trying on makes no sense: a condition
struct GenerationLeaving {     ///< the one before has been told to leave
    Deadline deadline{};
};
struct OldQueuesLeft {};  ///< those before take nobody new: a condition
struct ReloadLate {};     ///< the deadline has passed
struct ServiceStops {};
using ReloadEvent = std::variant<ReloadAsked, GenerationAllowed, SlotsLacking, LoadingGoesOn, GenerationBooting,
                                 BootExtended, GenerationRefused, GenerationReady, GenerationHopeless,
                                 GenerationLeaving, OldQueuesLeft, ReloadLate, ServiceStops>;

enum class ReloadAction {
    EndOldest,   ///< of the generations that leave
    RefuseFull,  ///< no reload for the one that asked: the slots are taken
    Load,        ///< read the settings, and go on
    GoOn,        ///< try handlers, open listeners; answers with GenerationBooting, GenerationRefused or not yet
    GiveUp,      ///< what is being loaded
    Commit,      ///< the new generation is the current one; those before are asked to leave
    Conclude,    ///< whoever asked for it hears that it is done
    Abandon,     ///< everything as it was
    Refuse,      ///< no reload for the one that asked: the service is stopping
};

struct ReloadStep {
    Reload next{};
    std::vector<ReloadAction> actions{};
};

/// Advances a reload by one event.
///
///   phase \ event  Asked *           Allowed        SlotsLacking
///   Idle           Waiting           -              -
///   Waiting        Waiting           Loading, Load  Idle, RefuseFull; if not for long: -
///   Clearing       Clearing          Loading, Load  Clearing, EndOldest
///   Loading        Waiting, GiveUp   -              -
///   Booting        Booting, then     -              -
///   Leaving        Leaving, then     -              -
///
///   phase \ event  GoesOn  Booting  Refused  Ready            Late **         Stops
///   Waiting        -       -        -        -                -               Idle ***
///   Clearing       -       -        -        -                -               Idle ***
///   Loading        GoOn    Booting  Idle     -                -               Idle, GiveUp ***
///   Booting        -       -        -        Leaving, Commit  Idle, Abandon   Idle, Abandon ***
///   Leaving        -       -        -        -                Idle, Conclude  Idle, Conclude
///
/// BootExtended moves the deadline of Booting, never to an earlier time, and is nothing elsewhere.
///
/// * with force: Clearing for Waiting.  ** or Hopeless; in Leaving, or OldQueuesLeft.  *** those that wait are told
/// why. Another request may mean that the settings have changed: what is being loaded is dropped, and loading begins
/// again. With `then`, Idle is that: a request that came while a generation was booting gets a reload after it.
[[nodiscard]] inline ReloadStep step(const Reload& now, const ReloadEvent& event) {
    using enum ReloadPhase;
    using enum ReloadAction;
    const ReloadStep unchanged{now, {}};
    const auto over = [&](ReloadAction action) { return ReloadStep{{.phase = now.then}, {action}}; };

    return std::visit(
        overloaded{
            [&](const ReloadAsked& asked) -> ReloadStep {
                const bool forced = asked.force || now.phase == Clearing || now.then == Clearing;
                const ReloadPhase wait = forced ? Clearing : Waiting;
                if (now.phase == Booting || now.phase == Leaving)
                    return {{.phase = now.phase, .then = wait, .deadline = now.deadline}, {}};
                if (now.phase == Loading) return {{.phase = wait}, {GiveUp}};
                return {{.phase = wait}, {}};
            },
            [&](GenerationAllowed) -> ReloadStep {
                const bool waits = now.phase == Waiting || now.phase == Clearing;
                return waits ? ReloadStep{{.phase = Loading}, {Load}} : unchanged;
            },
            [&](const SlotsLacking& lacking) -> ReloadStep {
                if (now.phase == Clearing) return {now, {EndOldest}};
                if (now.phase == Waiting && lacking.for_long) return {{}, {RefuseFull}};
                return unchanged;
            },
            [&](LoadingGoesOn) -> ReloadStep {
                return now.phase == Loading ? ReloadStep{now, {GoOn}} : unchanged;
            },
            [&](const GenerationBooting& booting) -> ReloadStep {
                if (now.phase != Loading) return unchanged;
                return {{.phase = Booting, .deadline = booting.deadline}, {}};
            },
            [&](const BootExtended& more) -> ReloadStep {
                if (now.phase != Booting || !now.deadline || *now.deadline >= more.until) return unchanged;
                return {{.phase = Booting, .then = now.then, .deadline = more.until}, {}};
            },
            [&](GenerationRefused) -> ReloadStep {
                return now.phase == Loading ? ReloadStep{{}, {}} : unchanged;
            },
            [&](GenerationReady) -> ReloadStep {
                if (now.phase != Booting) return unchanged;
                return {{.phase = Leaving, .then = now.then}, {Commit}};
            },
            [&](GenerationHopeless) { return now.phase == Booting ? over(Abandon) : unchanged; },
            [&](const GenerationLeaving& leaving) -> ReloadStep {
                if (now.phase != Leaving) return unchanged;
                return {{.phase = Leaving, .then = now.then, .deadline = leaving.deadline}, {}};
            },
            [&](OldQueuesLeft) { return now.phase == Leaving ? over(Conclude) : unchanged; },
            [&](ReloadLate) -> ReloadStep {
                if (now.phase == Leaving) return over(Conclude);
                return now.phase == Booting ? over(Abandon) : unchanged;
            },
            [&](ServiceStops) -> ReloadStep {
                switch (now.phase) {
                    case Idle: return unchanged;
                    case Waiting:
                    case Clearing: return {{}, {Refuse}};
                    case Loading: return {{}, {GiveUp, Refuse}};
                    case Booting: return {{}, {Abandon}};
                    case Leaving: return {{}, now.then != Idle ? std::vector{Conclude, Refuse} : std::vector{Conclude}};
                }
                return unchanged;
            },
        },
        event);
}

}  // namespace preforkd
