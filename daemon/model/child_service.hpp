#pragma once
// The frame of the models that give each client a process of its own.
#include <functional>

#include "daemon/model/child_crew.hpp"
#include "daemon/worker/control.hpp"
#include "daemon/worker/handler_set.hpp"
#include "daemon/worker/worker.hpp"

namespace preforkd {

/// What such a worker has; it owns no io_context, so nothing in it does harm in a forked child.
struct ChildService {
    const WorkerPlan& plan;
    Reactor& reactor;
    ChildCrew& crew;
    HandlerSet& handlers;
    Reception& reception;
};

/// Takes clients from a listener and starts errands for them.
using TakeFor = std::function<Reception::Take(const Listener&, ChildService&)>;

/// Serves until told to leave and every child has ended; see serve_model().
[[nodiscard]] int serve_with_children(const WorkerPlan& plan, WorkerSeat& seat, Control& control,
                                      const std::function<void()>& ready, ChildCrew::Strangers strangers,
                                      const TakeFor& take_for);

/// Serves each client of `listener` by its handler, in a forked child.
[[nodiscard]] Reception::Take take_by_forking(const Listener& listener, ChildService& service);

}  // namespace preforkd
