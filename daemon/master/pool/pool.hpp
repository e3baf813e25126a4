#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/epoll_set.hpp"
#include "common/channel/channel.hpp"
#include "common/channel/worker_handoff.hpp"
#include "common/control/status_report.hpp"
#include "daemon/master/pool/death.hpp"
#include "daemon/master/pool/exchange_policy.hpp"
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/handover.hpp"
#include "daemon/master/pool/oom_watch.hpp"
#include "daemon/master/pool/orphans.hpp"
#include "daemon/master/pool/queue_policy.hpp"
#include "daemon/master/pool/respawn_policy.hpp"
#include "daemon/master/pool/status_line.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// Keeps the wanted number of workers alive: forks, hears, reaps and replaces them.
///
/// At most two generations are kept at their size: the current one, and the next one while it boots.  Workers of older
/// ones have been asked to leave.
class Pool {
public:
    /// What workers serve to the end before they leave: listeners that only their generation has, by their index.
    struct RollingReload {
        std::vector<std::uint32_t> dropped{};  ///< of the current generation
        std::vector<std::uint32_t> added{};    ///< of the next
    };

    /// `events` must outlive the pool; a worker's key in it is its pid.
    Pool(Generation first, EpollSet& events);
    /// Carries on with the workers, slots and totals of the image before.  Throws when they cannot be read.
    Pool(Generation current, EpollSet& events, const Handover& handover);

    /// Writes what the next image needs to know of the pool.
    void describe(Handover& handover) const;

    /// Brings the pool to its size: forks what is missing, dismisses what is too many, kills what is out of patience.
    void maintain(Clock::time_point now);
    [[nodiscard]] Deadline next_deadline(Clock::time_point now) const;

    /// Collects the child `pid`, which has ended; false if it is no worker of this pool.
    bool reap(pid_t pid, Clock::time_point now);

    /// `child` leads a group, and yet is nothing that a dead worker had started; 0: there is none.
    void spare(pid_t child) noexcept { spared_ = child; }

    /// Reads what the worker `pid` has reported.
    void hear(pid_t pid);

    /// The child `pid` was stopped by the signal `signo`, or goes on (0).
    void note_stop(pid_t pid, int signo, Clock::time_point now);

    /// One worker more or fewer, TTIN and TTOU; where the pool resizes itself, one more or fewer at least.  Never below
    /// 1.  For how long that holds: ordered_size.hpp.
    void resize(int by);
    void resize_to(int size);

    // The next generation.  It boots beside the current one, which serves on and is kept at its size; or, with
    // `rolling`, a worker of the one comes and one of the other goes, and the other way round when one cannot start.
    void boot(Generation next, std::optional<RollingReload> rolling = {});
    [[nodiscard]] bool next_ready() const noexcept;
    [[nodiscard]] bool next_hopeless() const noexcept;
    /// Why none of it became ready, as far as is known.
    [[nodiscard]] std::string why_next_failed() const;
    /// Makes it the current one; the workers before it are asked to leave, once they have served who is queued on
    /// `dropped`: listeners that it does not have, by their index in the generation before.
    void commit(const std::vector<std::uint32_t>& dropped, Clock::time_point now);
    /// Gives it up: workers of it that serve already leave, once they have served who is queued on `added`: listeners
    /// that the current one does not have.
    void abandon(const std::vector<std::uint32_t>& added, Clock::time_point now);

    [[nodiscard]] const Generation& current() const noexcept { return current_.plan; }
    [[nodiscard]] const Generation* next() const noexcept { return next_ ? &next_->plan : nullptr; }

    /// The generations before the current one that still have workers, oldest first.
    [[nodiscard]] std::set<int> old_generations() const;
    /// Ends the workers of that generation fast.
    void end_generation(int number, Clock::time_point now);

    /// Tells all workers.  After SIGQUIT or SIGTERM nobody is replaced.
    void signal_all(int signo);
    void order_all(Order order);

    [[nodiscard]] bool all_ready() const noexcept;
    [[nodiscard]] bool hopeless() const noexcept;  ///< none ever became ready, and trying on makes no sense
    /// No worker is left, nor anything that a dead one had started.
    [[nodiscard]] bool empty() const noexcept { return table_.empty() && orphans_.none(); }
    [[nodiscard]] const std::string& last_failure() const noexcept { return current_.last_failure; }

    [[nodiscard]] PoolCounts counts();

    /// The pool's part of the status: its workers, and what is counted.
    void describe(StatusReport& report, Clock::time_point now);
    [[nodiscard]] const DeathRing& deaths() const noexcept { return deaths_; }

    /// Whether more workers go on than hang.
    [[nodiscard]] bool healthy() const noexcept;

private:
    using State = WorkerSlot::State;

    /// A generation that is kept at its size.
    struct Cohort {
        Generation plan;
        Respawn respawn{};
        bool ever_ready = false;
        bool fork_failed = false;  ///< once at least
        std::string last_failure{};
    };

    /// Between one look at the demand and the next.
    struct Sizing {
        Deadline next_look{};
        bool told = false;  ///< by a worker, that something has changed
        bool told_full = false;
        int burst = 1;
        Clock::time_point grown_at{};
        Deadline surplus_since{};
    };

    /// Between one look at the workers' health and the next.
    struct Watching {
        Deadline next_look = Clock::time_point{};
        Clock::time_point last_look{};
        std::chrono::milliseconds planned{};
    };

    /// Of the workers of one generation for those of another, while both serve.
    struct Exchange : RollingReload {
        bool back = false;      ///< the next generation has failed, and those of the current one come again
        bool no_space = false;  ///< see ExchangeView
        bool over = false;      ///< as far back as it goes
    };

    [[nodiscard]] ExchangeView exchange_view(const Cohort& coming) const;
    void follow_exchange(Clock::time_point now);
    bool advance_exchange(Clock::time_point now);
    void dismiss_outgoing(int coming, int count, Clock::time_point now);
    void turn_back();
    void note_failed_start(Cohort& cohort, const Death& death);
    void keep_at_size(Cohort& cohort, Clock::time_point now);
    [[nodiscard]] bool is_incomplete(const Cohort& cohort) const noexcept;
    [[nodiscard]] Cohort* cohort_of(const WorkerSlot& slot) noexcept;
    void fork_worker(Cohort& cohort, Clock::time_point now);
    void dismiss(WorkerSlot& slot, Clock::time_point now, DeathOrder order,
                 const std::vector<std::uint32_t>& closing = {});
    void kill_impatiently(WorkerSlot& slot);
    void watch(Clock::time_point now);
    void abort_hung(WorkerSlot& slot, Clock::time_point now);
    void kill_lifeless(WorkerSlot& slot);
    void follow_demand(Clock::time_point now);
    [[nodiscard]] SizeView size_view(Clock::time_point now);
    [[nodiscard]] std::uint64_t active(const WorkerSlot& slot) {
        return slots_[slot.record].active.load(std::memory_order_relaxed);
    }
    void on_report(WorkerSlot& slot, const Report& report);
    void tell(WorkerSlot& slot, Order order, std::uint32_t listener = every_listener);
    void ask_to_leave(WorkerSlot& slot);
    void send_unsent(WorkerSlot& slot);
    void nudge_sibling_of(const WorkerSlot* slot);
    void note_full();
    void watch_queue(Clock::time_point now);
    void note_unexpected_death(Cohort& cohort, const UnexpectedDeath& death);
    [[nodiscard]] std::uint64_t served_so_far();
    [[nodiscard]] std::uint64_t dropped_lines();
    void tell_of_cut_connections(int generation);

    EpollSet& events_;
    Scoreboard slots_;
    WorkerTable table_{};
    Orphans orphans_{};
    Orphans::IsWorker is_worker_ = [this](pid_t pid) { return table_.find(pid) != nullptr || pid == spared_; };
    pid_t spared_ = 0;
    Cohort current_;
    std::optional<Cohort> next_{};
    std::optional<Exchange> exchange_{};
    Sizing sizing_{};
    QueueHistory queue_{};
    Watching watching_{};
    bool closing_ = false;
    std::uint64_t replaced_ = 0;
    std::uint64_t dropped_before_ = 0;    ///< lines of the log, by the images of the master before this one
    std::map<int, std::uint64_t> cut_{};  ///< connections not waited for, by generation, until they are told of
    DeathRing deaths_{};
    OomWatch oom_{};
};

}  // namespace preforkd
