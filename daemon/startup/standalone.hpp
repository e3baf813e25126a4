#pragma once
// --workers 0: the process that is the worker, with no master.
#include <memory>

#include "common/base/unique_fd.hpp"
#include "common/systemd/systemd_notify.hpp"
#include "daemon/worker/worker.hpp"

namespace preforkd {

class KeyProcess;

/// What is told that the process is ready and that it stops; borrowed.
struct Announcements {
    SystemdNotify& systemd;
    UniqueFd& ready_fd;
};

/// Serves in this process until stopped; returns the exit code.  `keys`: that signs for it, if anybody does; nobody
/// replaces it here.
[[nodiscard]] int serve_alone(const WorkerPlan& plan, Announcements announcements, std::shared_ptr<KeyProcess> keys);

}  // namespace preforkd
