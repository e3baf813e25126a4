#pragma once
// How a worker runs what it accepted: one file for each model.
#include <functional>

#include "common/channel/worker_handoff.hpp"
#include "daemon/worker/process/worker_control.hpp"
#include "daemon/worker/process/worker_plan.hpp"

namespace preforkd {

/// Serves until `control` has told it to leave and the last connection has ended; returns the exit code.
/// `ready` is called when it is in the accept queue of every listener.
[[nodiscard]] int serve_model(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control,
                              std::function<void()> ready);

/// Model async: coroutines, many connections at once in one thread.
[[nodiscard]] int serve_async(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control,
                              std::function<void()> ready);

/// Model serial: one client after the other.
[[nodiscard]] int serve_serial(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control,
                               std::function<void()> ready);

/// Model thread: a thread for each client.
[[nodiscard]] int serve_thread(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control,
                               std::function<void()> ready);

/// Model fork: a child for each client.
[[nodiscard]] int serve_fork(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control,
                             std::function<void()> ready);

/// `-- PROGRAM`: a process for each stream client, whatever the model.
[[nodiscard]] int serve_program(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control,
                                std::function<void()> ready);

/// `--run pool -- PROGRAM`: one process, which accepts by itself.
[[nodiscard]] int serve_copy(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control,
                             std::function<void()> ready);

}  // namespace preforkd
