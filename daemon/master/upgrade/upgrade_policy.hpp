#pragma once
// The life of an upgrade as a pure function, up to the exec.  See the table above step().
#include <utility>
#include <variant>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/overloaded.hpp"

namespace preforkd {

enum class UpgradePhase {
    Idle,
    Waiting,     ///< asked for, but the pool is not ready, a reload is under way, or old generations are leaving
    Rehearsing,  ///< the new image is being tried as a child
    Rehearsed,   ///< it passed; executed as soon as the pool rests
};

struct Upgrade {
    UpgradePhase phase = UpgradePhase::Idle;
    Deadline deadline{};  ///< Rehearsing: done by then
    friend bool operator==(const Upgrade&, const Upgrade&) = default;
};

struct UpgradeAsked {};
struct PoolRests {  ///< running, no reload under way, space for a generation: a condition
    Deadline rehearsal_ends{};
};
struct NoSlots {};  ///< for the workers that a generation of the new image would replace, nor soon: a condition
struct RehearsalPassed {};
struct RehearsalFailed {};
struct RehearsalLate {};  ///< the deadline has passed
struct ExecFailed {};
struct UpgradeStops {};  ///< the service stops
using UpgradeEvent = std::variant<UpgradeAsked, PoolRests, NoSlots, RehearsalPassed, RehearsalFailed, RehearsalLate,
                                  ExecFailed, UpgradeStops>;

enum class UpgradeAction {
    Rehearse,
    KillRehearsal,  ///< with all that it has started
    Execute,        ///< returns only as ExecFailed
    Refuse,         ///< the one that asked is told why
};

struct UpgradeStep {
    Upgrade next{};
    std::vector<UpgradeAction> actions{};
};

/// Advances an upgrade by one event.
///
///   phase \ event  Asked       PoolRests      NoSlots  Passed     Failed  Late          ExecFailed  Stops
///   Idle           Waiting     -              -        -          -       -             -           -
///   Waiting        Waiting     Rehearsing **  Idle *   -          -       -             -           Idle *
///   Rehearsing     Rehearsing  -              -        Rehearsed  Idle *  Idle, Kill *  -           Idle, Kill *
///   Rehearsed      Rehearsed   Execute        Idle *   -          -       -             Idle *      Idle *
///
/// * and Refuse  ** and Rehearse
[[nodiscard]] inline UpgradeStep step(const Upgrade& now, const UpgradeEvent& event) {
    using enum UpgradePhase;
    using enum UpgradeAction;
    const UpgradeStep unchanged{now, {}};
    return std::visit(overloaded{
                          [&](UpgradeAsked) {
                              return now.phase == Idle ? UpgradeStep{{.phase = Waiting}, {}} : unchanged;
                          },
                          [&](const PoolRests& rests) -> UpgradeStep {
                              if (now.phase == Waiting)
                                  return {{.phase = Rehearsing, .deadline = rests.rehearsal_ends}, {Rehearse}};
                              if (now.phase == Rehearsed) return {now, {Execute}};
                              return unchanged;
                          },
                          [&](NoSlots) {
                              const bool waits = now.phase == Waiting || now.phase == Rehearsed;
                              return waits ? UpgradeStep{{}, {Refuse}} : unchanged;
                          },
                          [&](RehearsalPassed) {
                              return now.phase == Rehearsing ? UpgradeStep{{.phase = Rehearsed}, {}} : unchanged;
                          },
                          [&](RehearsalFailed) {
                              return now.phase == Rehearsing ? UpgradeStep{{}, {Refuse}} : unchanged;
                          },
                          [&](RehearsalLate) {
                              return now.phase == Rehearsing ? UpgradeStep{{}, {KillRehearsal, Refuse}} : unchanged;
                          },
                          [&](ExecFailed) {
                              return now.phase == Rehearsed ? UpgradeStep{{}, {Refuse}} : unchanged;
                          },
                          [&](UpgradeStops) -> UpgradeStep {
                              switch (now.phase) {
                                  case Idle: return unchanged;
                                  case Waiting:
                                  case Rehearsed: return {{}, {Refuse}};
                                  case Rehearsing: return {{}, {KillRehearsal, Refuse}};
                              }
                              return unchanged;
                          },
                      },
                      event);
}

}  // namespace preforkd
