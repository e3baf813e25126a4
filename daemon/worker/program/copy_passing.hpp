#pragma once
// The listeners of a pool of programs, as each copy gets them.
#include <vector>

#include "common/config/settings.hpp"
#include "common/net/listener.hpp"
#include "daemon/worker/process/worker_plan.hpp"
#include "daemon/worker/program/copy_sockets.hpp"

namespace preforkd {

/// Which of the plan's listeners the copy gets that has `slot`: of several queues its own, so that a client wakes one
/// copy alone.
[[nodiscard]] std::vector<const Listener*> listeners_of_copy(const WorkerPlan& plan, int slot);

[[nodiscard]] std::vector<CopySocket> copy_sockets_of(const WorkerPlan& plan, int slot);

/// Has one wait, as programs expect of what they are given.  O_NONBLOCK belongs to the description, which
/// all copies share: a program that wants it sets it, and must not lose it while copies of it run.
void make_blocking(const Listener& listener);

/// The same with all that copies get.
void make_blocking(const std::vector<Listener>& listeners, const Settings& settings);

}  // namespace preforkd
