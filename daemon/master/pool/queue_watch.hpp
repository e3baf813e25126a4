#pragma once
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/queue_policy.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// Warns of clients that wait while all workers are full; queue_policy.hpp decides when.
class QueueWatch {
public:
    /// A worker tells that it is at its limit.
    void note_full(Clock::time_point now) noexcept { history_ = told_full(history_, now); }

    void look(const Generation& current, const WorkerTable& workers, const Scoreboard& scoreboard,
              Clock::time_point now);
    [[nodiscard]] Deadline next_look() const noexcept { return history_.next_look; }

private:
    QueueHistory history_{};
};

}  // namespace preforkd
