#include "daemon/master/pool.hpp"

#include <fmt/format.h>

#include <optional>

#include "common/shortage.hpp"
#include "common/spawn.hpp"
#include "daemon/master/death.hpp"
#include "daemon/master/health_policy.hpp"
#include "daemon/master/respawn_policy.hpp"
#include "daemon/master/stack_frame.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

/// A leaving worker ends by itself at the stop timeout, and 2 s later at the latest; only one that is stuck is killed.
constexpr auto grace_beyond_stop_timeout = 4s;

WorkerLook look_at(const WorkerRecord& record, Clock::time_point now) {
    const std::chrono::nanoseconds since{now.time_since_epoch().count() -
                                         record.since_ns.load(std::memory_order_relaxed)};
    return {.state = record.state.load(std::memory_order_relaxed),
            .since = std::chrono::duration_cast<std::chrono::milliseconds>(since)};
}

}  // namespace

Pool::Pool(const PoolSettings& settings, WorkerMain body, EventSource& events)
    : settings_{settings}, body_{std::move(body)}, events_{events}, slots_{3 * std::size_t{most_workers}} {}

void Pool::maintain(Clock::time_point now) {
    orphans_.maintain(is_worker_, now);
    for (WorkerSlot& slot : table_)
        if (has_passed(slot.patience, now)) kill_impatiently(slot);
    if (closing_) return;

    for (int missing = settings_.workers - table_.count(State::Starting) - table_.count(State::Ready);
         missing > 0 && spawn_not_before_ <= now; --missing)
        fork_worker(now);

    int surplus = table_.count(State::Ready) - settings_.workers;
    for (WorkerSlot& slot : table_) {
        // A worker that retires goes once its replacement accepts, so capacity never dips.
        if (slot.state == State::Retiring && surplus >= 0) dismiss(slot, now);
        if (slot.state == State::Ready && surplus > 0) {
            dismiss(slot, now);
            --surplus;
        }
    }
}

Deadline Pool::next_deadline(Clock::time_point now) const {
    Deadline next = orphans_.deadline();
    for (const WorkerSlot& slot : table_) next = earlier(next, slot.patience);
    const bool incomplete = table_.count(State::Starting) + table_.count(State::Ready) < settings_.workers;
    if (!closing_ && incomplete && spawn_not_before_ > now) next = earlier(next, spawn_not_before_);
    return next;
}

void Pool::fork_worker(Clock::time_point now) {
    const int number = table_.free_number();
    std::optional<std::size_t> taken;
    try {
        const std::size_t index = taken.emplace(slots_.acquire());
        ChannelPair channel = open_channel();
        WorkerRecord& record = slots_[index];
        ChildProcess process =
            spawn([&] { return body_({.number = number, .record = record, .channel = std::move(channel.worker)}); });
        record.pid.store(static_cast<std::uint32_t>(process.pid()), std::memory_order_relaxed);
        events_.watch(channel.master.get(), static_cast<std::uint64_t>(process.pid()));
        log(LogLevel::Debug, "worker forked",
            {{"worker_number", std::int64_t{number}}, {"worker_pid", std::int64_t{process.pid()}}});
        table_.add({.number = number,
                    .record = index,
                    .process = std::move(process),
                    .channel = std::move(channel.master),
                    .started = now,
                    .patience = deadline_after(now, settings_.boot_timeout)});
    } catch (const std::exception& error) {
        // The machine is out of processes, descriptors or memory, or we of slots: never a reason to end the service.
        if (taken) slots_.release(*taken);
        last_failure_ = with_remedy(error);
        ++early_deaths_;
        spawn_not_before_ = now + std::max(100ms, respawn_delay(early_deaths_));
        if (early_deaths_ == 1) log(LogLevel::Error, "cannot fork a worker; trying again", {{"cause", last_failure_}});
    }
}

void Pool::dismiss(WorkerSlot& slot, Clock::time_point now) {
    slot.state = State::Leaving;
    slot.patience =
        settings_.stop_timeout == 0ms ? Deadline{} : now + settings_.stop_timeout + grace_beyond_stop_timeout;
    slot.process.signal(SIGQUIT);
}

void Pool::kill_impatiently(WorkerSlot& slot) {
    const bool starting = slot.state == State::Starting;
    if (starting) last_failure_ = fmt::format("worker {} was not ready within --boot-timeout", slot.number);
    log(LogLevel::Error,
        starting ? "worker was not ready within --boot-timeout: killing it"
                 : "worker has not left within --stop-timeout: killing it",
        {{"worker_number", std::int64_t{slot.number}}, {"worker_pid", std::int64_t{slot.process.pid()}}});
    slot.patience.reset();
    slot.process.signal(SIGKILL);
}

bool Pool::reap(pid_t pid, Clock::time_point now) {
    WorkerSlot* slot = table_.find(pid);
    if (slot == nullptr) return false;
    hear(pid);              // why it could not start, for instance
    ::kill(-pid, SIGTERM);  // what it had started; until it is reaped its group's number cannot be anybody else's
    const auto report = slot->process.try_reap();
    if (!report) return true;

    const std::uint64_t served = slots_[slot->record].served.load(std::memory_order_relaxed);
    const Death death{.number = slot->number,
                      .pid = pid,
                      .report = *report,
                      .age = std::chrono::duration_cast<std::chrono::milliseconds>(now - slot->started),
                      .served = served,
                      .expected = slot->state == State::Leaving || closing_};
    log_death(death);
    if (!death.expected) note_unexpected_death(death.age, served, now);
    slots_.release(slot->record);
    events_.forget(slot->channel.get());
    nudge_sibling_of(slot);
    table_.remove(*slot);
    // One that left in good order has ended what it had started.
    const bool out_of_patience = closing_ && death.report == ExitReport{ExitReport::Kind::Killed, SIGKILL};
    if (death.report != ExitReport{ExitReport::Kind::Exited, 0}) orphans_.end(pid, is_worker_, out_of_patience, now);
    return true;
}

void Pool::note_unexpected_death(std::chrono::milliseconds age, std::uint64_t served, Clock::time_point now) {
    ++replaced_;
    const std::uint64_t served_now = served_so_far();
    if (!died_early(age, served)) {
        early_deaths_ = 0;
    } else {
        if (served_now != served_at_last_early_death_) early_deaths_ = 0;  // the pool is of use meanwhile
        served_at_last_early_death_ = served_now;
        ++early_deaths_;
    }
    const auto delay = respawn_delay(early_deaths_);
    spawn_not_before_ = now + delay;
    if (delay == 100ms) log(LogLevel::Warning, "workers die early: replacing them slower and slower, up to every 30 s");
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
        if (std::holds_alternative<PeerGone>(received)) events_.forget(slot->channel.get());
        return;
    }
}

void Pool::on_report(WorkerSlot& slot, const Report& report) {
    switch (report.kind) {
        case Report::Kind::Ready:
            if (slot.state != State::Starting) return;
            slot.state = State::Ready;
            slot.patience.reset();
            ever_ready_ = true;
            log(LogLevel::Debug, "worker ready",
                {{"worker_number", std::int64_t{slot.number}}, {"worker_pid", std::int64_t{slot.process.pid()}}});
            return;
        case Report::Kind::Paused: return nudge_sibling_of(&slot);
        case Report::Kind::Retiring:
            if (slot.state == State::Ready) slot.state = State::Retiring;
            return;
        case Report::Kind::Failed:
            last_failure_ = report.text;
            log(LogLevel::Error, "worker cannot start",
                {{"worker_number", std::int64_t{slot.number}}, {"cause", report.text}});
            return;
        case Report::Kind::Stack: {
            const StackFrame frame = read_stack_frame(report.text);
            log(LogLevel::Warning, "worker stack",
                {{"worker_number", std::int64_t{slot.number}},
                 {"worker_pid", std::int64_t{slot.process.pid()}},
                 {"frame", frame.number},
                 {"function", frame.function},
                 {"where", frame.where}});
            return;
        }
    }
}

void Pool::nudge_sibling_of(const WorkerSlot* slot) {
    // Only one with room: those without it look by themselves when they have room again.
    WorkerSlot* best = nullptr;
    std::uint64_t least = settings_.connections;
    for (WorkerSlot& sibling : table_) {
        if (&sibling == slot || (sibling.state != State::Ready && sibling.state != State::Retiring)) continue;
        const std::uint64_t active = slots_[sibling.record].active.load(std::memory_order_relaxed);
        if (active >= least) continue;
        best = &sibling;
        least = active;
    }
    if (best != nullptr) send_order(best->channel.get(), Order::LookForClients);
}

void Pool::resize(int by) {
    const int wanted = std::clamp(settings_.workers + by, 1, most_workers);
    if (wanted == settings_.workers)
        return log(LogLevel::Notice, "pool size is at its limit", {{"workers", std::int64_t{wanted}}});
    settings_.workers = wanted;
    log(LogLevel::Notice, "pool size changed", {{"workers", std::int64_t{wanted}}});
}

void Pool::signal_all(int signo) {
    closing_ = true;
    for (const WorkerSlot& slot : table_) slot.process.signal(signo);
}

void Pool::order_all(Order order, int passed_fd) {
    for (const WorkerSlot& slot : table_) send_order(slot.channel.get(), order, passed_fd);
}

bool Pool::all_ready() const noexcept { return table_.count(State::Ready) >= settings_.workers; }

bool Pool::hopeless() const noexcept { return !ever_ready_ && is_hopeless(early_deaths_, settings_.workers); }

std::uint64_t Pool::served_so_far() {
    std::uint64_t served = slots_.totals().served;
    for (const WorkerSlot& slot : table_) served += slots_[slot.record].served.load(std::memory_order_relaxed);
    return served;
}

PoolCounts Pool::counts() {
    PoolCounts counts{.target = settings_.workers,
                      .starting = table_.count(State::Starting),
                      .leaving = table_.count(State::Leaving),
                      .served = served_so_far(),
                      .replaced = replaced_,
                      .dropped_log_lines = slots_.totals().dropped_log_lines};
    for (const WorkerSlot& slot : table_) {
        const WorkerRecord& record = slots_[slot.record];
        const std::uint64_t active = record.active.load(std::memory_order_relaxed);
        counts.connections += active;
        counts.dropped_log_lines += record.dropped_log_lines.load(std::memory_order_relaxed);
        if (slot.state == State::Ready || slot.state == State::Retiring) ++(active == 0 ? counts.idle : counts.busy);
    }
    return counts;
}

bool Pool::healthy(Clock::time_point now) {
    int workers = 0;
    int hung = 0;
    for (const WorkerSlot& slot : table_) {
        const WorkerLook look = look_at(slots_[slot.record], now);
        ++workers;
        if (is_hung(look, settings_.worker_timeout)) ++hung;
        if (is_suspect(look, settings_.worker_timeout)) send_order(slot.channel.get(), Order::LookForClients);
    }
    return has_quorum(workers, hung);
}

}  // namespace preforkd
