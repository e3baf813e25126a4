#pragma once
#include <chrono>

#include "common/base/clock.hpp"
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// Finds workers that hang or were stopped, and ends them; health_policy.hpp decides.
class HealthWatch {
public:
    /// If it is time: asks the busy for a sign of life, ends the hung and the lifeless, and has others look for clients
    /// in the place of the stopped.
    void look(WorkerTable& workers, const PoolSettings& pool, Clock::time_point now);

    /// It was stopped by the signal `signo`, or goes on (0).
    void note_stop(WorkerEntry& worker, int signo, Clock::time_point now);

    void look_at_once(Clock::time_point now) noexcept { next_look_ = now; }
    [[nodiscard]] Deadline next_look() const noexcept { return next_look_; }

private:
    Deadline next_look_ = Clock::time_point{};
    Clock::time_point last_look_{};
    std::chrono::milliseconds planned_{};
};

/// Whether more workers go on than hang.
[[nodiscard]] bool most_respond(const WorkerTable& workers, std::chrono::milliseconds worker_timeout) noexcept;

}  // namespace preforkd
