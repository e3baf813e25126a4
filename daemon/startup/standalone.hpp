#pragma once
// --workers 0: the process that is the worker, with no master.
#include "common/base/unique_fd.hpp"
#include "common/systemd/systemd_notify.hpp"
#include "daemon/worker/worker.hpp"

namespace preforkd {

/// What is told that the process is ready and that it stops; borrowed.
struct Announcements {
    SystemdNotify& systemd;
    UniqueFd& ready_fd;
};

/// Serves in this process until stopped; returns the exit code.
[[nodiscard]] int serve_alone(const WorkerPlan& plan, Announcements announcements);

}  // namespace preforkd
