#pragma once
// The frame of the models that give each client a process of its own.
#include <functional>
#include <optional>

#include "common/channel/worker_handoff.hpp"
#include "daemon/worker/handler/handler_set.hpp"
#include "daemon/worker/model/child_crew.hpp"
#include "daemon/worker/process/shared_flag.hpp"
#include "daemon/worker/process/worker_control.hpp"
#include "daemon/worker/process/worker_plan.hpp"
#include "daemon/worker/program/stderr_rate.hpp"

namespace preforkd {

/// What such a worker has; it owns no io_context, so nothing in it does harm in a forked child.
struct ChildModel {
    const WorkerPlan& plan;
    Reactor& reactor;
    ChildCrew& crew;
    HandlerSet& handlers;
    Acceptor& acceptor;
    StderrRate& stderr_rate;               ///< of its programs
    std::optional<SharedFlag> draining{};  ///< for the children that it forks, if it does
};

/// Takes clients from a listener and starts jobs for them.
using TakeFor = std::function<Acceptor::Take(const Listener&, ChildModel&)>;

/// Serves until told to leave and every child has ended; see serve_model().
[[nodiscard]] int serve_with_children(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control,
                                      const std::function<void()>& ready, ChildCrew::Strangers strangers,
                                      const TakeFor& take_for);

/// Serves each client of `listener` by its handler, in a forked child.
[[nodiscard]] Acceptor::Take take_by_forking(const Listener& listener, ChildModel& model);

}  // namespace preforkd
