#pragma once
// What the child of the master becomes.
#include <functional>

#include "common/channel/worker_handoff.hpp"
#include "daemon/worker/process/worker_control.hpp"
#include "daemon/worker/process/worker_plan.hpp"

namespace preforkd {

/// Everything from the first line of the child to its exit code: leaves the master's process group and descriptors,
/// drops privileges, makes the handlers, reports, and serves until told to leave.
[[nodiscard]] int run_worker(const WorkerPlan& plan, WorkerHandoff handoff);

/// The same in this process, without a master: --workers 0.  `ready` is called once it serves.
[[nodiscard]] int run_standalone(const WorkerPlan& plan, WorkerHandoff handoff, std::function<void()> ready,
                                 OperatorHooks hooks);

}  // namespace preforkd
