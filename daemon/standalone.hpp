#pragma once
// --workers 0: the process that is the worker, with no master.
#include "common/service_notify.hpp"
#include "common/unique_fd.hpp"
#include "daemon/worker/worker.hpp"

namespace preforkd {

/// Whom the process tells that it is ready and that it stops; borrowed.
struct Announcements {
    ServiceNotify& systemd;
    UniqueFd& ready_fd;
};

/// Serves in this process until stopped; returns the exit code.
[[nodiscard]] int serve_alone(const WorkerPlan& plan, Announcements announcements);

}  // namespace preforkd
