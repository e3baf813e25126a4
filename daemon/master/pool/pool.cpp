#include "daemon/master/pool/pool.hpp"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "common/base/shortage.hpp"
#include "common/channel/stopping.hpp"
#include "common/process/spawn.hpp"
#include "daemon/master/pool/death.hpp"
#include "daemon/master/pool/respawn_policy.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

/// A leaving worker ends by itself: at the stop timeout, and a fast stop later at the latest; only one that is stuck is
/// killed.
constexpr auto grace_beyond_stop_timeout = fast_stop + 2s;

/// To a worker whose channel had no place.  Not when it becomes writable: want of memory, or too many descriptors under
/// way, end without an event.
constexpr auto before_sending_again = 100ms;

}  // namespace

Pool::Pool(Generation first, EpollSet& events)
    : events_{events}, slots_{3 * std::size_t{most_workers}}, current_{.plan = std::move(first)} {}

void Pool::maintain(Clock::time_point now) {
    orphans_.maintain(is_worker_, now);
    for (WorkerSlot& slot : table_)
        if (has_passed(slot.patience, now)) kill_impatiently(slot);
    watch(now);
    for (WorkerSlot& slot : table_)
        if (slot.unsent.any()) send_unsent(slot);
    if (closing_) return;
    if (exchange_) return follow_exchange(now);
    follow_demand(now);
    watch_queue(now);
    keep_at_size(current_, now);
    if (next_) keep_at_size(*next_, now);
}

bool Pool::is_incomplete(const Cohort& cohort) const noexcept {
    const int number = cohort.plan.number;
    const int living = table_.count(State::Starting, number) + table_.count(State::Ready, number);
    return cohort.plan.body && living < cohort.plan.pool.workers;
}

void Pool::keep_at_size(Cohort& cohort, Clock::time_point now) {
    while (is_incomplete(cohort) && cohort.respawn.not_before <= now) fork_worker(cohort, now);

    const int number = cohort.plan.number;
    int surplus = table_.count(State::Ready, number) - cohort.plan.pool.workers;
    // Of those that are too many the idle ones go first.
    for (const bool idle_ones : {true, false})
        for (WorkerSlot& slot : table_) {
            if (slot.generation != number || slot.stopped) continue;
            // A worker that retires goes once its replacement accepts, so capacity never dips.
            if (slot.state == State::Retiring && surplus >= 0) dismiss(slot, now, DeathOrder::Recycle);
            if (slot.state == State::Ready && surplus > 0 && (active(slot) == 0) == idle_ones) {
                dismiss(slot, now, DeathOrder::Resize);
                --surplus;
            }
        }
}

Deadline Pool::next_deadline(Clock::time_point now) const {
    Deadline next = earlier(orphans_.deadline(), watching_.next_look);
    if (!closing_) next = earlier(next, earlier(sizing_.next_look, queue_.next_look));
    for (const WorkerSlot& slot : table_) {
        next = earlier(next, slot.patience);
        if (slot.unsent.any()) next = earlier(next, now + before_sending_again);
    }
    const auto consider = [&](const Cohort& cohort) {
        if (!closing_ && is_incomplete(cohort) && cohort.respawn.not_before > now)
            next = earlier(next, cohort.respawn.not_before);
    };
    if (!exchange_ || exchange_->back) consider(current_);
    if (next_ && !(exchange_ && exchange_->back)) consider(*next_);
    return next;
}

Pool::Cohort* Pool::cohort_of(const WorkerSlot& slot) noexcept {
    if (slot.generation == current_.plan.number) return &current_;
    return next_ && slot.generation == next_->plan.number ? &*next_ : nullptr;
}

void Pool::fork_worker(Cohort& cohort, Clock::time_point now) {
    const int number = table_.free_number();
    std::optional<std::size_t> taken;
    try {
        const std::size_t index = taken.emplace(slots_.acquire());
        ChannelPair channel = open_channel();
        OutputPipe output = open_output_pipe();
        WorkerRecord& record = slots_[index];
        // Without a pidfd: nobody waits on it, reap() alone collects children, and it would double what a pool of many
        // workers takes of RLIMIT_NOFILE.
        ChildProcess process = spawn(
            [&] {
                return cohort.plan.body({.number = number,
                                         .record = record,
                                         .channel = std::move(channel.worker),
                                         .output = std::move(output)});
            },
            ChildProcess::Handle::Later);
        record.pid.store(static_cast<std::uint32_t>(process.pid()), std::memory_order_relaxed);
        try {
            events_.watch(channel.master.get(), static_cast<std::uint64_t>(process.pid()));
        } catch (const std::system_error&) {
            // It must not write into a record that is released, and another one's by then.
            process.signal(SIGKILL);
            ::waitpid(process.pid(), nullptr, 0);
            throw;
        }
        log(LogLevel::Debug, "worker forked: {worker_number} (pid {worker_pid})",
            {{"worker_number", std::int64_t{number}}, {"worker_pid", std::int64_t{process.pid()}}});
        table_.add({.number = number,
                    .generation = cohort.plan.number,
                    .record = index,
                    .process = std::move(process),
                    .channel = std::move(channel.master),
                    .printed = std::move(output.reader),
                    .started = now,
                    .patience = deadline_after(now, cohort.plan.pool.boot_timeout)});
    } catch (const std::exception& error) {
        // The machine is out of processes, descriptors or memory, or we of slots: never a reason to end the service.
        if (taken) slots_.release(*taken);
        cohort.fork_failed = true;
        cohort.last_failure = with_remedy(error);
        cohort.respawn = after_failed_fork(cohort.respawn, now);
        if (cohort.respawn.early_deaths == 1 && &cohort == &current_)
            log(LogLevel::Error, "cannot fork a worker; retrying: {cause}", {{"cause", cohort.last_failure}});
    }
}

void Pool::dismiss(WorkerSlot& slot, Clock::time_point now, DeathOrder order,
                   const std::vector<std::uint32_t>& closing) {
    for (const std::uint32_t index : closing) tell(slot, Order::EmptyQueue, index);
    const auto stop_timeout = current_.plan.pool.stop_timeout;
    slot.state = State::Leaving;
    slot.order = order;
    slot.patience = stop_timeout == 0ms ? Deadline{} : now + stop_timeout + grace_beyond_stop_timeout;
    ask_to_leave(slot);
}

void Pool::kill_impatiently(WorkerSlot& slot) {
    const bool starting = slot.state == State::Starting;
    if (Cohort* cohort = cohort_of(slot); cohort != nullptr && starting)
        cohort->last_failure = fmt::format("worker {} was not ready within --boot-timeout", slot.number);
    log(LogLevel::Error,
        starting ? "worker {worker_number} (pid {worker_pid}) was not ready within --boot-timeout: killing it"
        : slot.state == State::Doomed
            ? "worker {worker_number} (pid {worker_pid}) has not died of SIGABRT: killing it"
            : "worker {worker_number} (pid {worker_pid}) has not left within --stop-timeout: killing it",
        {{"worker_number", std::int64_t{slot.number}}, {"worker_pid", std::int64_t{slot.process.pid()}}});
    if (slot.state != State::Doomed) slot.order = starting ? DeathOrder::BootTimeout : DeathOrder::StopTimeout;
    slot.patience.reset();
    slot.process.signal(SIGKILL);
}

bool Pool::reap(pid_t pid, Clock::time_point now) {
    WorkerSlot* slot = table_.find(pid);
    if (slot == nullptr) return false;
    hear(pid);              // why it could not start, for instance
    ::kill(-pid, SIGTERM);  // what it had started; until it is reaped its group's number cannot be anybody else's
    rusage used{};
    const auto report = slot->process.try_reap(&used);
    if (!report) return true;
    PrintedLines{std::move(slot->printed), slot->number}.log_rest();

    constexpr ExitReport left_in_good_order{ExitReport::Kind::Exited, 0};
    const bool killed_by_others =
        *report == ExitReport{ExitReport::Kind::Killed, SIGKILL} && slot->order == DeathOrder::None;
    const Death death{.number = slot->number,
                      .pid = pid,
                      .report = *report,
                      .age = std::chrono::duration_cast<std::chrono::milliseconds>(now - slot->started),
                      .generation = slot->generation,
                      .order = slot->order,
                      .expected = slot->state == State::Leaving || closing_,
                      .out_of_memory = *report != left_in_good_order && oom_.is_to_blame(killed_by_others),
                      .used = used};
    const DeathReport certificate = certify(death, slots_[slot->record]);
    log_death(certificate);
    deaths_.add(certificate);
    if (exchange_) exchange_->no_space = false;
    if (Cohort* cohort = cohort_of(*slot); cohort != nullptr && !death.expected) {
        note_unexpected_death(
            *cohort, {.age = death.age, .served = certificate.served, .pool_served = served_so_far(), .at = now});
        if (slot->state == State::Starting) note_failed_start(*cohort, death);
    }
    cut_[death.generation] += connections_cut(death, slots_[slot->record]);
    slots_.release(slot->record);
    events_.remove(slot->channel.get());
    nudge_sibling_of(slot);
    table_.remove(*slot);
    tell_of_cut_connections(death.generation);
    // One that left in good order has ended what it had started.
    const bool out_of_patience = closing_ && death.report == ExitReport{ExitReport::Kind::Killed, SIGKILL};
    if (death.report != ExitReport{ExitReport::Kind::Exited, 0}) orphans_.end(pid, is_worker_, out_of_patience, now);
    return true;
}

void Pool::note_unexpected_death(Cohort& cohort, const UnexpectedDeath& death) {
    ++replaced_;
    cohort.respawn = after_death(cohort.respawn, death);
    if (cohort.respawn.not_before - death.at == 100ms)
        log(LogLevel::Warning, "workers exit early: delaying replacements, by up to 30 s");
}

void Pool::hear(pid_t pid) {
    WorkerSlot* slot = table_.find(pid);
    if (slot == nullptr) return;
    for (;;) {
        const auto received = receive_report(slot->channel.get());
        if (const Report* report = std::get_if<Report>(&received)) {
            on_report(*slot, *report);
            continue;
        }
        // SIGCHLD tells of its end; the open end of a dead worker's channel would only keep us awake.
        if (std::holds_alternative<PeerGone>(received)) events_.remove(slot->channel.get());
        return;
    }
}

void Pool::on_report(WorkerSlot& slot, const Report& report) {
    switch (report.kind) {
        case Report::Kind::Ready:
            if (slot.state != State::Starting) return;
            slot.state = State::Ready;
            slot.patience.reset();
            if (Cohort* cohort = cohort_of(slot)) cohort->ever_ready = true;
            sizing_.told = true;
            log(LogLevel::Debug, "worker ready: {worker_number} (pid {worker_pid})",
                {{"worker_number", std::int64_t{slot.number}}, {"worker_pid", std::int64_t{slot.process.pid()}}});
            return;
        case Report::Kind::Paused: note_full(); return nudge_sibling_of(&slot);
        case Report::Kind::Full: return note_full();
        case Report::Kind::Retiring:
            if (slot.state == State::Ready) slot.state = State::Retiring;
            return;
        case Report::Kind::Failed:
            if (Cohort* cohort = cohort_of(slot)) cohort->last_failure = report.text;
            log(LogLevel::Error, "worker {worker_number} cannot start: {cause}",
                {{"worker_number", std::int64_t{slot.number}}, {"cause", report.text}});
            return;
        case Report::Kind::Stack: return;
    }
}

bool Pool::all_ready() const noexcept {
    return table_.count(State::Ready, current_.plan.number) >= current_.plan.pool.workers;
}

bool Pool::hopeless() const noexcept {
    return !current_.ever_ready && is_hopeless(current_.respawn.early_deaths, current_.plan.pool.workers);
}

std::uint64_t Pool::served_so_far() {
    std::uint64_t served = slots_.totals().served;
    for (const WorkerSlot& slot : table_) served += slots_[slot.record].served.load(std::memory_order_relaxed);
    return served;
}

PoolCounts Pool::counts() {
    PoolCounts counts{.target = current_.plan.pool.workers,
                      .starting = table_.count(State::Starting),
                      .leaving = table_.count(State::Leaving),
                      .served = served_so_far(),
                      .replaced = replaced_,
                      .dropped_log_lines = dropped_lines()};
    for (const WorkerSlot& slot : table_) {
        const WorkerRecord& record = slots_[slot.record];
        const std::uint64_t active = record.active.load(std::memory_order_relaxed);
        counts.connections += active;
        if (slot.state != State::Ready && slot.state != State::Retiring) continue;
        ++(slot.stopped ? counts.stopped : active == 0 ? counts.idle : counts.busy);
    }
    return counts;
}

}  // namespace preforkd
