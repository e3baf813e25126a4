#pragma once
#include <functional>
#include <string>

#include "common/channel.hpp"
#include "common/worker_seat.hpp"
#include "daemon/master/event_source.hpp"
#include "daemon/master/orphans.hpp"
#include "daemon/master/status_line.hpp"
#include "daemon/master/worker_table.hpp"

namespace preforkd {

struct PoolSettings {
    int workers = 1;
    std::size_t connections = 1;  ///< at once per worker
    // Zero means never.
    std::chrono::milliseconds boot_timeout{};
    std::chrono::milliseconds stop_timeout{};
    std::chrono::milliseconds worker_timeout{};
};

/// The most workers that a pool can have; the slots have room for three generations of them.
inline constexpr int most_workers = 1024;

/// Keeps the wanted number of workers alive: forks, hears, reaps and replaces them.
class Pool {
public:
    /// `body`: what each forked child runs.  `events` must outlive the pool; a worker's key in it is its pid.
    Pool(const PoolSettings& settings, WorkerMain body, EventSource& events);

    /// Brings the pool to its size: forks what is missing, dismisses what is too many, kills what is out of patience.
    void maintain(Clock::time_point now);
    [[nodiscard]] Deadline next_deadline(Clock::time_point now) const;

    /// Collects the child `pid`, which has ended; false if it is no worker of this pool.
    bool reap(pid_t pid, Clock::time_point now);

    /// Reads what the worker `pid` has reported.
    void hear(pid_t pid);

    /// One worker more or fewer, TTIN and TTOU.  Never below 1.
    void resize(int by);

    /// Tells all workers.  After SIGQUIT or SIGTERM nobody is replaced.
    void signal_all(int signo);
    void order_all(Order order, int passed_fd = -1);

    [[nodiscard]] bool all_ready() const noexcept;
    [[nodiscard]] bool hopeless() const noexcept;  ///< none ever became ready, and trying on makes no sense
    /// No worker is left, nor anything that a dead one had started.
    [[nodiscard]] bool empty() const noexcept { return table_.empty() && orphans_.none(); }
    [[nodiscard]] const std::string& last_failure() const noexcept { return last_failure_; }

    [[nodiscard]] PoolCounts counts();

    /// Whether more workers go on than hang.  Asks those that may hang for a sign of life, and nobody else.
    [[nodiscard]] bool healthy(Clock::time_point now);

private:
    using State = WorkerSlot::State;

    void fork_worker(Clock::time_point now);
    void dismiss(WorkerSlot& slot, Clock::time_point now);
    void kill_impatiently(WorkerSlot& slot);
    void on_report(WorkerSlot& slot, const Report& report);
    void nudge_sibling_of(const WorkerSlot* slot);
    void note_unexpected_death(std::chrono::milliseconds age, std::uint64_t served, Clock::time_point now);
    [[nodiscard]] std::uint64_t served_so_far();

    PoolSettings settings_;
    WorkerMain body_;
    EventSource& events_;
    SharedSlots slots_;
    WorkerTable table_{};
    Orphans orphans_{};
    Orphans::IsWorker is_worker_ = [this](pid_t pid) { return table_.find(pid) != nullptr; };
    std::string last_failure_{};
    bool ever_ready_ = false;
    bool closing_ = false;
    int early_deaths_ = 0;  ///< in a row, failed forks included
    std::uint64_t served_at_last_early_death_ = 0;
    Clock::time_point spawn_not_before_{};
    std::uint64_t replaced_ = 0;
};

}  // namespace preforkd
