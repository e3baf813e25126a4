#pragma once
// Makes a pool of copies of a program as large as the demand.
#include <chrono>
#include <map>
#include <optional>

#include "common/base/clock.hpp"
#include "daemon/master/pool/copies_policy.hpp"
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// copies_policy.hpp decides; this looks every second, and four times a second while clients wait: copies tell nothing,
/// so that there is no event to wait for.
class CopiesSizing {
public:
    /// Changes how many are wanted of `current`, if that follows the demand.
    void follow_demand(Generation& current, const WorkerTable& workers, Clock::time_point now);
    [[nodiscard]] Deadline next_look() const noexcept { return next_look_; }

private:
    [[nodiscard]] std::optional<int> measure_cpu(const Generation& current, const WorkerTable& workers,
                                                 Clock::time_point now);

    Deadline next_look_{};
    int cpus_ = 0;  ///< 0: not asked yet
    int burst_ = 1;
    Deadline waiting_since_{};
    Deadline computing_since_{};
    Deadline surplus_since_{};
    Clock::time_point measured_at_{};
    std::map<pid_t, std::chrono::milliseconds> cpu_{};  ///< that each had used by then, with all that it has started
};

}  // namespace preforkd
