#pragma once
// Which workers hang, and whether the pool is healthy.  Pure.
#include <chrono>

#include "common/shared_slots.hpp"

namespace preforkd {

/// What a worker's record says, with the age of that.
struct WorkerLook {
    WorkerState state{};
    std::chrono::milliseconds since{};  ///< how long it has been so
};

/// Handler code has run for longer than --worker-timeout.  Waiting for a client is idle, not hung.  Zero: never.
[[nodiscard]] constexpr bool is_hung(const WorkerLook& worker, std::chrono::milliseconds timeout) noexcept {
    return timeout.count() != 0 && worker.state == WorkerState::InHandler && worker.since > timeout;
}

/// Handler code has not given the thread back for so long that the worker should be asked for a sign of life: a
/// coroutine that waits for something other than its client leaves the state as it was.
[[nodiscard]] constexpr bool is_suspect(const WorkerLook& worker, std::chrono::milliseconds timeout) noexcept {
    return timeout.count() != 0 && worker.state == WorkerState::InHandler && worker.since > timeout / 2;
}

/// Whether the watchdog may be fed: more workers go on than hang.  A pool that is being respawned is not stuck, and a
/// restart of the service would not help it.
[[nodiscard]] constexpr bool has_quorum(int workers, int hung) noexcept { return workers == 0 || 2 * hung < workers; }

static_assert(has_quorum(8, 3) && !has_quorum(8, 4) && !has_quorum(1, 1));

}  // namespace preforkd
