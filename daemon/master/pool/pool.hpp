#pragma once
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "common/base/epoll_set.hpp"
#include "common/channel/channel.hpp"
#include "common/control/status_report.hpp"
#include "daemon/master/pool/count_register.hpp"
#include "daemon/master/pool/death_register.hpp"
#include "daemon/master/pool/generations.hpp"
#include "daemon/master/pool/handover.hpp"
#include "daemon/master/pool/health_watch.hpp"
#include "daemon/master/pool/key_processes.hpp"
#include "daemon/master/pool/leaving.hpp"
#include "daemon/master/pool/log_writer.hpp"
#include "daemon/master/pool/orphans.hpp"
#include "daemon/master/pool/pool_sizing.hpp"
#include "daemon/master/pool/queue_watch.hpp"
#include "daemon/master/pool/shared_areas.hpp"
#include "daemon/master/pool/status_line.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// To whom orders another size of a pool that has services.
inline constexpr std::string_view size_is_fixed =
    "endpoints have workers of their own (workers=): change these or --workers in the configuration, and reload";

/// Keeps the wanted number of workers alive: forks, hears, reaps and replaces them.
///
/// At most two generations are kept at their size: the current one, and the next one while it boots.  Workers of older
/// ones have been asked to leave.
class Pool {
public:
    /// `events` must outlive the pool; a worker's key in it is its pid.
    Pool(Generation first, EpollSet& events);
    /// Carries on with the workers, their records and the totals of the image before.  Throws when they cannot be read.
    Pool(Generation current, EpollSet& events, const Handover& handover);

    /// Writes what the next image needs to know of the pool.
    void describe(Handover& handover) const;

    /// Brings the pool to its size: forks what is missing, dismisses what is too many, kills what is out of patience.
    void maintain(Clock::time_point now);
    [[nodiscard]] Deadline next_deadline(Clock::time_point now) const;

    /// Collects the child `pid`, which has ended; false if it is no worker of this pool, nor writes the log of one, nor
    /// has its keys.
    bool reap(pid_t pid, Clock::time_point now);

    /// `children` lead groups, and yet are nothing that a dead worker had started; 0: no such child.
    void spare(std::array<pid_t, 2> children) noexcept { spared_ = children; }

    /// Reads what the worker `pid` has reported, or the first of it; or a process that has keys.
    void hear(pid_t pid, Clock::time_point now);

    /// The child `pid` was stopped by the signal `signo`, or goes on (0).
    void note_stop(pid_t pid, int signo, Clock::time_point now);

    /// One worker more or fewer, TTIN and TTOU; where the pool resizes itself, one more or fewer at least.  Never below
    /// 1.  For how long that holds: ordered_size.hpp.
    /// Not where there are services.
    void resize(int by) { resize_to(ordered_size(current().pool) + by); }
    void resize_to(int size);

    // The next generation.  It boots beside the current one, which serves on and is kept at its size; or, with
    // `rolling`, a worker of the one comes and one of the other goes, and the other way round when one cannot start.
    void boot(Generation next, std::optional<RollingReload> rolling = {}) {
        generations_.boot(std::move(next), std::move(rolling));
    }
    [[nodiscard]] bool next_ready() const noexcept { return generations_.next_ready(table_); }
    [[nodiscard]] bool next_hopeless() const noexcept { return generations_.next_hopeless(); }
    /// Why none of it became ready, as far as is known.
    [[nodiscard]] std::string why_next_failed() const { return generations_.why_next_failed(); }
    /// Makes it the current one; the workers before it are asked to leave, once they have served who is queued on
    /// `dropped`: listeners that it does not have, by their index in the generation before.
    void commit(const std::vector<std::uint32_t>& dropped, Clock::time_point now);
    /// The workers of the current generation, for clients in their queues.
    void have_all_look();
    /// Gives it up: workers of it that serve already leave, once they have served who is queued on `added`: listeners
    /// that the current one does not have.
    void abandon(const std::vector<std::uint32_t>& added, Clock::time_point now);

    /// What its loop waits on.
    [[nodiscard]] EpollSet& events() const noexcept { return events_; }

    [[nodiscard]] const Generation& current() const noexcept { return generations_.current().plan; }
    [[nodiscard]] const Generation* next() const noexcept {
        return generations_.next() ? &generations_.next()->plan : nullptr;
    }

    // Workers that others have replaced, and that have clients still: leaving.hpp.
    [[nodiscard]] Slots slots(Clock::time_point now) const { return slots_beside(current(), table_, now); }
    [[nodiscard]] std::string why_no_slots(Clock::time_point now) const {
        return preforkd::why_no_slots(current(), table_, now);
    }
    void end_oldest(Clock::time_point now) { preforkd::end_oldest(current(), table_, now); }
    /// Whether a worker of a generation before the current one may still take a new client.
    [[nodiscard]] bool old_ones_accept() const {
        return std::ranges::any_of(table_, [number = current().number](const WorkerEntry& worker) {
            return worker.generation < number && worker.may_accept();
        });
    }

    /// Has copies of a program read their own settings anew, --reload-signal.
    void reload_copies() {
        for (const WorkerEntry& worker : table_)
            if (!worker.is_going()) worker.process.signal(SIGHUP);
    }

    /// Tells all workers.  After SIGQUIT or SIGTERM nobody is replaced.
    void signal_all(int signo);
    void order_all(Order order);

    [[nodiscard]] bool all_ready() const noexcept { return generations_.current().is_ready(table_); }
    /// None ever became ready, and trying on makes no sense.
    [[nodiscard]] bool hopeless() const noexcept { return generations_.current().is_hopeless(); }
    /// When the last of the workers that start gives up, where one has asked for time; unset: none has.
    [[nodiscard]] Deadline boot_extended_to(int generation) const noexcept {
        return table_.boot_extended_to(generation);
    }
    /// No worker is left, nor anything that a dead one had started.
    [[nodiscard]] bool empty() const noexcept { return table_.empty() && orphans_.none(); }
    /// Where what it forks logs to; -1: where the master does.
    [[nodiscard]] int log_pipe() const noexcept { return log_writer_.pipe(); }
    /// Once it is empty: waits until what its workers have logged is written, for a limited time.
    void finish_log() { log_writer_.finish(); }
    [[nodiscard]] const std::string& last_failure() const noexcept { return generations_.current().last_failure; }

    [[nodiscard]] PoolCounts counts() const;

    /// The pool's part of the status: its workers, and what is counted; of the listeners, for those that it has.
    void describe(StatusReport& report, Clock::time_point now);

    // How a reload that somebody has asked for, or an upgrade, has ended.
    void count_reload(bool done) { counts_.add_reload(done, current().number); }
    void count_upgrade(bool done) { counts_.add_upgrade(done); }
    [[nodiscard]] const DeathRing& deaths() const noexcept { return deaths_.last(); }

    /// Whether more workers go on than hang.
    [[nodiscard]] bool healthy() const noexcept { return most_respond(table_, current().pool.worker_timeout); }

private:
    using State = WorkerEntry::State;

    void keep_workers(Clock::time_point now);
    void keep_at_size(Cohort& cohort, Clock::time_point now);
    bool advance_exchange(RollingExchange& exchange, Clock::time_point now);
    void fork_worker(Cohort& cohort, std::size_t service, Clock::time_point now);
    void kill_impatiently(WorkerEntry& worker);
    void read_reports(WorkerEntry& worker, int most, Clock::time_point now);
    void judge_report(WorkerEntry& worker, const Report& report, Clock::time_point now);
    void on_report(WorkerEntry& worker, const Report& report, Clock::time_point now);
    void end_out_of_turn(WorkerEntry& worker, const std::string& what);
    void note_full(const WorkerEntry& worker);
    void note_death(const WorkerEntry& worker, const Death& death, Clock::time_point now);
    void tell_of_cut_connections(int generation);
    [[nodiscard]] std::uint64_t served() const noexcept;
    [[nodiscard]] std::uint64_t dropped_lines() const;

    EpollSet& events_;
    Scoreboard scoreboard_;
    CountRegister counts_;
    WorkerTable table_{};
    Generations generations_;
    PoolSizing sizing_{};
    QueueWatch queue_watch_{};
    HealthWatch health_watch_{};
    DeathRegister deaths_{};
    SharedAreas shared_{};
    LogWriter log_writer_{};
    KeyProcesses keys_{events_, generations_, table_};
    Orphans orphans_{};
    Orphans::IsOurs is_ours_ = [this](pid_t pid) {
        return table_.find(pid) != nullptr || std::ranges::find(spared_, pid) != spared_.end() ||
               log_writer_.is_one(pid) || keys_.is_one(pid);
    };
    std::array<pid_t, 2> spared_{};
    bool closing_ = false;
    std::uint64_t replaced_ = 0;
    std::uint64_t dropped_before_ = 0;  ///< lines of the log, by the images of the master before this one
};

}  // namespace preforkd
