#include "daemon/master/pool/pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/config/options_table.hpp"
#include "common/log/log_output.hpp"
#include "daemon/master/pool/handed_workers.hpp"
#include "daemon/master/pool/ordered_size.hpp"
#include "daemon/master/pool/report_policy.hpp"
#include "daemon/master/pool/worker_orders.hpp"
#include "daemon/master/pool/worker_start.hpp"
#include "daemon/master/pool/worker_status.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

/// To a worker whose channel had no place.  Not when it becomes writable: want of memory, or too many descriptors under
/// way, end without an event.
constexpr auto before_sending_again = 100ms;

constexpr int most_unread = 1024;  // more than a channel holds, should a child of the dead fill it on

}  // namespace

Pool::Pool(Generation first, EpollSet& events)
    : events_{events}, scoreboard_{most_records}, counts_{most_records}, generations_{Cohort{std::move(first)}} {}

Pool::Pool(Generation current, EpollSet& events, const Handover& handover)
    : events_{events},
      scoreboard_{UniqueFd{handover.scoreboard}, handover.dead_workers},
      counts_{most_records, UniqueFd{handover.count_memory}, handover.counts},
      generations_{Cohort{std::move(current), true}},
      replaced_{handover.replaced},
      dropped_before_{handover.dropped_log_lines} {
    orphans_.adopt(handover.groups);
    deaths_.adopt(handover);
    log_writer_.adopt(handover.log);
    shared_.adopt(handover.areas);
    keys_.adopt(handover.key_processes);
    for (const HandedWorker& handed : handover.workers_alive) {
        WorkerEntry& worker = table_.add(from_handed(handed, scoreboard_));
        worker.sources = {*this->current().listeners, worker.number};
        if (worker.connections == 0) worker.connections = handover.connections;  // its writer knew of no services
        worker.row_keys = counts_.keys_of(worker.generation);
        if (worker.channel.reports) events_.watch(worker.channel.reports.get(), static_cast<std::uint64_t>(handed.pid));
    }
}

void Pool::describe(Handover& handover) const {
    const PoolSettings& settings = current().pool;
    handover.generation = current().number;
    handover.workers = settings.workers;
    handover.workers_ordered = settings.ordered.value_or(0);
    handover.workers_setting = find_option("workers")->print(*current().settings).at(0);
    handover.runs_copies = settings.runs_copies;
    handover.connections = settings.connections;
    handover.stop_timeout = settings.stop_timeout;
    handover.worker_timeout = settings.worker_timeout;
    handover.scoreboard = scoreboard_.memory_fd();
    handover.dead_workers = scoreboard_.totals();
    handover.count_memory = counts_.memory_fd();
    handover.counts = counts_.to_text();
    handover.areas = shared_.describe();
    handover.replaced = replaced_;
    handover.dropped_log_lines = dropped_before_ + dropped_log_lines() + log_writer_.dropped_lines();
    deaths_.describe(handover);
    handover.groups = orphans_.asked();
    handover.log = log_writer_.describe();
    handover.key_processes = keys_.all();
    handover.workers_alive.clear();
    for (const WorkerEntry& worker : table_) handover.workers_alive.push_back(to_handed(worker));
}

void Pool::maintain(Clock::time_point now) {
    const auto is_old = [this](const WorkerEntry& worker) { return worker.generation != current().number; };
    log_writer_.maintain(generations_.next() != nullptr || std::ranges::any_of(table_, is_old), now);
    orphans_.maintain(is_ours_, now);
    for (WorkerEntry& worker : table_)
        if (has_passed(worker.patience, now)) kill_impatiently(worker);
    health_watch_.look(table_, current().pool, now);
    for (WorkerEntry& worker : table_)
        if (worker.unsent.any()) send_unsent(worker);
    keep_workers(now);
    keys_.maintain(now);
}

void Pool::keep_workers(Clock::time_point now) {
    if (closing_) {
        if (table_.empty() && !current().settings->leave_orphans) orphans_.end_all(is_ours_, now);
        return;
    }
    if (RollingExchange* exchange = generations_.exchange()) {
        while (!exchange->over() && advance_exchange(*exchange, now)) {}
        return;
    }
    Generation& plan = generations_.current().plan;
    sizing_.follow_demand(plan, table_, now);
    queue_watch_.look(plan, table_, scoreboard_, now);
    keep_at_size(generations_.current(), now);
    if (Cohort* next = generations_.next()) keep_at_size(*next, now);
}

Deadline Pool::next_deadline(Clock::time_point now) const {
    Deadline next = earlier(earlier(orphans_.deadline(), log_writer_.deadline()),
                            earlier(health_watch_.next_look(), keys_.deadline(now)));
    if (!closing_) next = earlier(next, earlier(sizing_.next_look(), queue_watch_.next_look()));
    for (const WorkerEntry& worker : table_) {
        next = earlier(next, worker.patience);
        if (worker.unsent.any()) next = earlier(next, now + before_sending_again);
    }
    return closing_ ? next : earlier(next, generations_.next_fork(table_, now));
}

void Pool::keep_at_size(Cohort& cohort, Clock::time_point now) {
    for (std::size_t service = 0; service < count_services(cohort.plan.pool); ++service) {
        while (cohort.is_incomplete(service, table_) && cohort.courses[service].respawn.not_before <= now)
            fork_worker(cohort, service, now);
        dismiss_surplus(table_, cohort.plan, service, current().pool, now);
    }
}

/// One step; whether another may follow at once.
bool Pool::advance_exchange(RollingExchange& exchange, Clock::time_point now) {
    Cohort& coming = generations_.coming();
    const ExchangePlan plan = exchange.next_step(table_, coming.plan, now);
    if (plan.failed) generations_.turn_back(table_);
    dismiss_some(
        table_, plan.dismiss,
        [&](const WorkerEntry& worker) { return RollingExchange::is_outgoing(worker, coming.plan); },
        [&](WorkerEntry& worker) {
            dismiss(worker,
                    replaced_by(coming.plan.pool, worker, order_of_exchange(coming.plan), exchange.closing(), now));
        });
    if (!plan.fork) return plan.failed || plan.dismiss > 0;
    if (coming.respawn().not_before > now) return false;
    const Respawn before = coming.respawn();
    fork_worker(coming, 0, now);
    const bool refused = std::exchange(coming.fork_failed, false);
    exchange.note_space(!refused);
    if (refused) coming.respawn() = before;  // a worker that goes frees space, not time
    return refused;
}

/// What fails is never a reason to end the service.
void Pool::fork_worker(Cohort& cohort, std::size_t service, Clock::time_point now) {
    try {
        log_writer_.follow(now);
        const ServiceSettings wanted = service_at(cohort.plan.pool, service);
        const WorkersOf siblings{.generation = cohort.plan.number, .service = wanted.name};
        const NewWorker worker{.number = table_.free_number(), .service = service, .slot = table_.free_slot(siblings)};
        table_.add(start_worker(cohort.plan, worker, scoreboard_, counts_, shared_, log_writer_.pipe(), events_, now));
    } catch (const std::exception& error) {
        cohort.note_failed_fork(error, now);
        if (cohort.courses[service].respawn.early_deaths == 1 && &cohort == &generations_.current())
            log(LogLevel::Error, "cannot fork a worker; retrying: {cause}", {{"cause", cohort.last_failure}});
    }
}

void Pool::kill_impatiently(WorkerEntry& worker) {
    if (Cohort* cohort = generations_.find(worker.generation); cohort != nullptr && worker.state == State::Starting)
        cohort->last_failure = fmt::format("worker {} was not ready within --boot-timeout", worker.number);
    kill_late(worker);
}

bool Pool::reap(pid_t pid, Clock::time_point now) {
    WorkerEntry* worker = table_.find(pid);
    if (worker == nullptr) return log_writer_.reap(pid, now) || keys_.reap(pid, now);
    read_reports(*worker, most_unread, now);  // why it could not start, for instance
    ::kill(-pid, SIGTERM);  // what it had started; until it is reaped its group's number cannot be anybody else's
    rusage used{};
    const auto report = worker->process.try_reap(&used);
    if (!report) return true;
    PrintedLines{std::move(worker->printed), worker->number}.log_rest();

    Death death{.number = worker->number,
                .pid = pid,
                .report = *report,
                .age = std::chrono::duration_cast<std::chrono::milliseconds>(now - worker->started),
                .generation = worker->generation,
                .order = worker->order,
                .was_ready = worker->state != State::Starting,
                .expected = worker->state == State::Leaving || closing_,
                .used = used};
    death.out_of_memory = deaths_.add(death, worker->record);
    counts_.keep_most(table_, now);
    counts_.add_death(*worker, death, now);
    if (RollingExchange* exchange = generations_.exchange()) exchange->note_space(true);
    if (!death.expected) note_death(*worker, death, now);
    scoreboard_.release(worker->record_index);
    worker->sources.clear();
    events_.remove(worker->channel.reports.get());
    nudge_least_busy(table_, worker);
    table_.remove(*worker);
    counts_.forget_removed(table_, current(), next());
    shared_.tidy(table_, current(), next());
    tell_of_cut_connections(death.generation);
    // One that left in good order has ended what it had started.
    if (!death.in_good_order()) orphans_.end(pid, closing_ && death.by_sigkill(), now);
    return true;
}

/// Nobody had ordered it.
void Pool::note_death(const WorkerEntry& worker, const Death& death, Clock::time_point now) {
    Cohort* cohort = generations_.find(death.generation);
    if (cohort == nullptr) return;
    ++replaced_;
    const PoolSettings& pool = cohort->plan.pool;
    cohort->note_death(
        worker, {.age = death.age,
                 .served = worker.record.served.load(std::memory_order_relaxed),
                 .pool_served = pool.services.empty() ? served() : table_.total(&WorkerRecord::served, worker.service),
                 .pool_size = service_at(pool, find_service(pool, worker.service).value_or(0)).workers,
                 .at = now});
    if (worker.state == State::Starting) generations_.note_failed_start(*cohort, death, table_);
}

/// One line for all that were ended together: the whole pool, the generations before this one, or a single worker.
void Pool::tell_of_cut_connections(int generation) {
    if (closing_) {
        if (table_.empty()) deaths_.log_all_cut_connections();
        return;
    }
    const bool others_leave = std::ranges::find(table_, generation, &WorkerEntry::generation) != table_.end();
    if (generation == current().number || !others_leave) deaths_.log_cut_connections_of(generation);
}

void Pool::hear(pid_t pid, Clock::time_point now) {
    if (WorkerEntry* worker = table_.find(pid)) return read_reports(*worker, reports_in_turn, now);
    keys_.hear(pid);
}

void Pool::read_reports(WorkerEntry& worker, int most, Clock::time_point now) {
    if (!worker.channel.reports) return;  // of an image before format 3, and not heard
    for (; most > 0 && worker.order != DeathOrder::OutOfTurn; --most) {
        const auto received = receive_report(worker.channel.reports.get());
        if (std::holds_alternative<NothingYet>(received)) return;
        // SIGCHLD tells of its end; the open end of a dead worker's channel would only keep us awake.
        if (std::holds_alternative<PeerGone>(received)) return (void)events_.remove(worker.channel.reports.get());
        if (std::holds_alternative<NoReport>(received)) return end_out_of_turn(worker, "what is no report");
        judge_report(worker, std::get<Report>(received), now);
    }
}

void Pool::judge_report(WorkerEntry& worker, const Report& report, Clock::time_point now) {
    if (!worker.reports.take(most_reports, now)) return end_out_of_turn(worker, "too many reports in a second");
    switch (judge(worker.state, worker.failed, report.kind)) {
        case ReportVerdict::Accept: return on_report(worker, report, now);
        case ReportVerdict::Ignore: return;
        case ReportVerdict::OutOfTurn: return end_out_of_turn(worker, name_of(report.kind));
    }
}

/// It is heard no more: whatever it says now may be somebody else's word.
void Pool::end_out_of_turn(WorkerEntry& worker, const std::string& what) {
    if (Cohort* cohort = generations_.find(worker.generation); cohort != nullptr && worker.state == State::Starting)
        cohort->last_failure = fmt::format("worker {} has reported out of turn ({})", worker.number, what);
    events_.remove(worker.channel.reports.get());
    kill_out_of_turn(worker, what);
}

void Pool::on_report(WorkerEntry& worker, const Report& report, Clock::time_point now) {
    switch (report.kind) {
        case Report::Kind::Ready:
            worker.state = State::Ready;
            worker.patience.reset();
            counts_.own().worker_boot.add(now - worker.started);
            if (Cohort* cohort = generations_.find(worker.generation)) cohort->note_ready(worker);
            sizing_.note_change();
            log(LogLevel::Debug, "worker ready: {worker_number} (pid {worker_pid})",
                {{"worker_number", std::int64_t{worker.number}}, {"worker_pid", std::int64_t{worker.process.pid()}}});
            return;
        case Report::Kind::Extend: return extend_patience(worker, report.text, now);
        case Report::Kind::Paused: note_full(worker); return nudge_least_busy(table_, &worker);
        case Report::Kind::Full: return note_full(worker);
        case Report::Kind::Retiring:
            worker.state = State::Retiring;
            if (Cohort* cohort = generations_.find(worker.generation)) cohort->note_retirement(worker, now);
            return;
        case Report::Kind::Failed:
            worker.failed = true;
            if (Cohort* cohort = generations_.find(worker.generation)) cohort->last_failure = report.text;
            log(LogLevel::Error, "worker {worker_number} cannot start: {cause}",
                {{"worker_number", std::int64_t{worker.number}}, {"cause", report.text}});
            return;
    }
}

void Pool::note_full(const WorkerEntry& worker) {
    sizing_.note_full();
    queue_watch_.note_full(worker.service, Clock::now());
}

void Pool::note_stop(pid_t pid, int signo, Clock::time_point now) {
    if (WorkerEntry* worker = table_.find(pid)) health_watch_.note_stop(*worker, signo, now);
}

void Pool::resize_to(int size) {
    PoolSettings& pool = generations_.current().plan.pool;
    if (!pool.services.empty()) return log(LogLevel::Notice, "{why}", {{"why", size_is_fixed}});
    const int before = ordered_size(pool);
    order_size(pool, size);
    if (Cohort* next = generations_.next()) order_size(next->plan.pool, size);  // it has read its settings already
    sizing_.note_change();
    log_ordered_size(pool, size, before);
}

void Pool::commit(const std::vector<std::uint32_t>& dropped, Clock::time_point now) {
    const DeathOrder order = current().body ? order_of_exchange(*next()) : DeathOrder::Upgrade;
    keys_.leave(current());
    generations_.commit();
    sizing_.start_over();
    counts_.forget_removed(table_, current(), nullptr);
    health_watch_.look_at_once(now);  // with another --worker-timeout, maybe
    for (WorkerEntry& worker : table_)
        if (worker.generation != current().number && !worker.is_going())
            dismiss(worker, replaced_by(current().pool, worker, order, dropped, now));
}

void Pool::abandon(const std::vector<std::uint32_t>& added, Clock::time_point now) {
    for (WorkerEntry& worker : table_) {
        if (worker.generation != next()->number || worker.is_going()) continue;
        Dismissal how = replaced_by(current().pool, worker, order_of_exchange(*next()), added, now);
        if (worker.state == State::Starting) how.patience = now + patience_after_term;  // it has taken nobody
        dismiss(worker, how);
    }
    keys_.leave(*next());
    generations_.abandon();
}

void Pool::signal_all(int signo) {
    closing_ = true;
    for (WorkerEntry& worker : table_) {
        if (worker.order == DeathOrder::None) worker.order = DeathOrder::Stop;
        signo == SIGQUIT ? ask_to_leave(worker) : worker.process.signal(signo);
    }
}

void Pool::order_all(Order order) {
    for (WorkerEntry& worker : table_) send(worker, order);
}

std::uint64_t Pool::served() const noexcept {
    return scoreboard_.totals().served + table_.total(&WorkerRecord::served);
}

void Pool::have_all_look() {
    for (WorkerEntry& worker : table_)
        if (worker.generation == current().number && !worker.is_going()) send(worker, Order::LookForClients);
}

/// By this process, by the one that writes for workers, by workers that live, and by those that do not.
std::uint64_t Pool::dropped_lines() const {
    return dropped_before_ + dropped_log_lines() + log_writer_.dropped_lines() +
           scoreboard_.totals().dropped_log_lines + table_.total(&WorkerRecord::dropped_log_lines);
}

PoolCounts Pool::counts() const {
    PoolCounts counts{.target = current().pool.workers,
                      .starting = table_.count(State::Starting),
                      .leaving = table_.count(State::Leaving),
                      .connections = table_.total(&WorkerRecord::active),
                      .served = served(),
                      .replaced = replaced_,
                      .dropped_log_lines = dropped_lines(),
                      .of_copies = current().pool.runs_copies};
    for (const WorkerEntry& worker : table_)
        if (worker.state == State::Ready || worker.state == State::Retiring)
            ++(worker.stopped ? counts.stopped : worker.active() == 0 ? counts.idle : counts.with_clients);
    return counts;
}

void Pool::describe(StatusReport& report, Clock::time_point now) {
    report.generation = static_cast<std::uint64_t>(current().number);
    add_size(current().pool, report);
    add_dead(scoreboard_.totals(), report);
    report.dropped_log_lines = dropped_lines();
    report.replaced = replaced_;
    report.key_process = keys_.status();
    add_workers(table_, now, report);
    counts_.describe(report, table_, now);
}

}  // namespace preforkd
