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
    Waiting,  ///< asked for, but the pool is not ready yet, or two old generations still have workers
    Loading,  ///< the settings are being read, handlers are being tried, or an address is waited for
    Booting,  ///< the next generation has been forked
};

struct Reload {
    ReloadPhase phase = ReloadPhase::Idle;
    bool again = false;   ///< asked for once more since the next generation read its settings
    Deadline deadline{};  ///< Booting: ready by then
    friend bool operator==(const Reload&, const Reload&) = default;
};

struct ReloadAsked {
    bool force = false;  ///< rather end the oldest workers than wait for them
};
struct GenerationAllowed {};  ///< the pool is ready and has fewer than two old generations: a condition
struct LoadingGoesOn {};      ///< something may have come true that it waits for: a condition
struct GenerationBooting {    ///< its settings are good, its listeners open
    Deadline deadline{};
};
struct GenerationRefused {};   ///< they are not, and the reload is over
struct GenerationReady {};     ///< all of its workers have reported in: a condition
struct GenerationHopeless {};  ///< none ever did, and trying on makes no sense: a condition
struct ReloadLate {};          ///< the deadline has passed
struct ServiceStops {};
using ReloadEvent = std::variant<ReloadAsked, GenerationAllowed, LoadingGoesOn, GenerationBooting, GenerationRefused,
                                 GenerationReady, GenerationHopeless, ReloadLate, ServiceStops>;

enum class ReloadAction {
    EndOldest,  ///< of the old generations
    Load,       ///< read the settings, and go on
    GoOn,       ///< try handlers, open listeners; answers with GenerationBooting, GenerationRefused or not yet
    GiveUp,     ///< what is being loaded
    Commit,     ///< the new generation is the current one; those before are asked to leave
    Abandon,    ///< everything as it was
    Refuse,     ///< no reload for the one that asked: the service is stopping
};

struct ReloadStep {
    Reload next{};
    std::vector<ReloadAction> actions{};
};

/// How many generations may still be leaving when another takes over.
inline constexpr std::size_t most_old_generations = 2;

/// Advances a reload by one event.
///
///   phase \ event  Asked            Space           GoesOn  Booting  Refused  Ready         Late **        Stops
///   Idle           Waiting          -              -       -        -        -             -              -
///   Waiting        Waiting          Loading, Load  -       -        -        -             -              Idle *
///   Loading        Waiting, GiveUp  -              GoOn    Booting  Idle     -             -              GiveUp *
///   Booting        Booting, again   -              -       -        -        Idle, Commit  Idle, Abandon  Abandon *
///
/// * Idle; those that wait are told why.  ** or Hopeless.
/// Another request may mean that the settings have changed: what is being loaded is dropped, and loading begins again.
/// With `again`, Idle is Waiting: a request that came while a generation was booting gets a reload after it.
[[nodiscard]] inline ReloadStep step(const Reload& now, const ReloadEvent& event) {
    using enum ReloadPhase;
    using enum ReloadAction;
    const ReloadStep unchanged{now, {}};
    const auto over = [&](ReloadAction action) { return ReloadStep{{.phase = now.again ? Waiting : Idle}, {action}}; };

    return std::visit(overloaded{
                          [&](const ReloadAsked& asked) -> ReloadStep {
                              std::vector<ReloadAction> actions;
                              if (asked.force) actions.push_back(EndOldest);
                              if (now.phase == Loading) actions.push_back(GiveUp);
                              if (now.phase == Booting)
                                  return {{.phase = Booting, .again = true, .deadline = now.deadline}, actions};
                              return {{.phase = Waiting}, actions};
                          },
                          [&](GenerationAllowed) -> ReloadStep {
                              return now.phase == Waiting ? ReloadStep{{.phase = Loading}, {Load}} : unchanged;
                          },
                          [&](LoadingGoesOn) -> ReloadStep {
                              return now.phase == Loading ? ReloadStep{now, {GoOn}} : unchanged;
                          },
                          [&](const GenerationBooting& booting) -> ReloadStep {
                              if (now.phase != Loading) return unchanged;
                              return {{.phase = Booting, .deadline = booting.deadline}, {}};
                          },
                          [&](GenerationRefused) -> ReloadStep {
                              return now.phase == Loading ? ReloadStep{{}, {}} : unchanged;
                          },
                          [&](GenerationReady) { return now.phase == Booting ? over(Commit) : unchanged; },
                          [&](GenerationHopeless) { return now.phase == Booting ? over(Abandon) : unchanged; },
                          [&](ReloadLate) { return now.phase == Booting ? over(Abandon) : unchanged; },
                          [&](ServiceStops) -> ReloadStep {
                              switch (now.phase) {
                                  case Idle: return unchanged;
                                  case Waiting: return {{}, {Refuse}};
                                  case Loading: return {{}, {GiveUp, Refuse}};
                                  case Booting: return {{}, {Abandon}};
                              }
                              return unchanged;
                          },
                      },
                      event);
}

}  // namespace preforkd
