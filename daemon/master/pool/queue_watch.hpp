#pragma once
#include <map>
#include <string>

#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/queue_policy.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// Warns of clients that wait while all workers are full; queue_policy.hpp decides when.
class QueueWatch {
public:
    /// A worker of that service tells that it is at its limit.
    void note_full(const std::string& service, Clock::time_point now) {
        histories_[service] = told_full(histories_[service], now);
    }

    void look(const Generation& current, const WorkerTable& workers, const Scoreboard& scoreboard,
              Clock::time_point now);
    [[nodiscard]] Deadline next_look() const noexcept;

private:
    std::map<std::string, QueueHistory> histories_{};  ///< by the names of services
};

}  // namespace preforkd
