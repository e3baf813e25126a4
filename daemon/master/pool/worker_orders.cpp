#include "daemon/master/pool/worker_orders.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "common/base/parse_number.hpp"
#include "daemon/master/pool/leaving_policy.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

using State = WorkerEntry::State;

constexpr auto patience_after_abort = 2s;  // to write a stack, and a core

}  // namespace

void send(WorkerEntry& worker, Order order, std::uint32_t argument) {
    switch (order) {
        case Order::LookForClients: (void)send_order(worker.channel.orders.get(), order); return;
        case Order::EmptyQueue: worker.unsent.closing.insert(argument); break;
        case Order::FinishWithin: worker.unsent.finish_within = argument; break;
    }
    send_unsent(worker);
}

void ask_to_leave(WorkerEntry& worker) {
    worker.unsent.finish_within.reset();
    worker.unsent.leave = true;
    send_unsent(worker);
}

void send_unsent(WorkerEntry& worker) {
    UnsentOrders& unsent = worker.unsent;
    const int channel = worker.channel.orders.get();
    while (!unsent.closing.empty() && send_order(channel, Order::EmptyQueue, *unsent.closing.begin()))
        unsent.closing.erase(unsent.closing.begin());
    if (!unsent.closing.empty()) return;
    if (unsent.finish_within && send_order(channel, Order::FinishWithin, *unsent.finish_within))
        unsent.finish_within.reset();
    if (unsent.finish_within || !std::exchange(unsent.leave, false)) return;
    worker.process.signal(SIGQUIT);
}

void nudge_least_busy(WorkerTable& workers, const WorkerEntry* except) {
    // Only one with capacity: those without it look by themselves when they have capacity again.
    std::map<std::string_view, WorkerEntry*> best;
    for (WorkerEntry& worker : workers) {
        const bool accepts = worker.state == State::Ready || worker.state == State::Retiring;
        if (&worker == except || worker.stopped || !accepts || worker.active() >= worker.connections) continue;
        const auto [least, is_first] = best.try_emplace(worker.service, &worker);
        if (!is_first && worker.active() < least->second->active()) least->second = &worker;
    }
    for (const auto& [service, worker] : best) send(*worker, Order::LookForClients);
}

DeathOrder order_of_exchange(const Generation& coming) noexcept {
    return coming.binds_again ? DeathOrder::Rebind : DeathOrder::Reload;
}

Deadline gone_by(std::chrono::milliseconds time, Clock::time_point now) {
    return time == 0ms ? Deadline{} : now + time + grace_beyond_time;
}

void extend_patience(WorkerEntry& worker, std::string_view milliseconds, Clock::time_point now) {
    constexpr std::chrono::milliseconds longest = 24h;
    const auto asked = parse_number<std::uint32_t>(milliseconds);
    if (!asked || !worker.patience) return;
    const auto more = std::min(std::chrono::milliseconds{*asked}, longest);
    worker.boot_extended = worker.state == State::Starting;
    const auto grace = worker.boot_extended ? 0ms : grace_beyond_time;  // it has nothing to end
    worker.patience = std::max(*worker.patience, now + more + grace);
}

void dismiss(WorkerEntry& worker, const Dismissal& how) {
    worker.state = State::Leaving;
    worker.order = how.order;
    worker.told = how.at;
    worker.patience = how.patience;
    worker.unsent.closing.insert(how.closing.begin(), how.closing.end());
    if (how.within)  // rounded up: the units of zero are for ever
        worker.unsent.finish_within = static_cast<std::uint32_t>((*how.within + finish_unit - 1ms) / finish_unit);
    worker.record.told_to_leave.store(1, std::memory_order_relaxed);
    worker.unsent.leave = true;
    send_unsent(worker);
}

void terminate(WorkerEntry& worker, DeathOrder order, Clock::time_point now) {
    if (worker.state != State::Leaving) worker.told = now;
    worker.state = State::Leaving;
    worker.order = order;
    worker.patience = now + patience_after_term;
    worker.process.signal(SIGTERM);
}

void abort_hung(WorkerEntry& worker, Clock::time_point now) {
    log(LogLevel::Error,
        worker.record.program_pid.load(std::memory_order_relaxed) == 0
            ? "worker {worker_number} (pid {worker_pid}) hangs in its handler for {busy_seconds} s: aborting it"
            : "worker {worker_number} (pid {worker_pid}): its program has sent no WATCHDOG=1 for {busy_seconds} s: "
              "aborting it",
        {{"worker_number", std::int64_t{worker.number}},
         {"worker_pid", std::int64_t{worker.process.pid()}},
         {"busy_seconds", static_cast<double>(worker.history.busy.count()) / 1000}});
    worker.state = State::Doomed;
    worker.order = DeathOrder::Hang;
    worker.patience = now + patience_after_abort;
    worker.process.signal(SIGABRT);
}

void kill_lifeless(WorkerEntry& worker) {
    log(LogLevel::Error, "worker {worker_number} (pid {worker_pid}) has been stopped for too long: killing it",
        {{"worker_number", std::int64_t{worker.number}}, {"worker_pid", std::int64_t{worker.process.pid()}}});
    worker.state = State::Doomed;
    worker.order = DeathOrder::Lifeless;
    worker.patience.reset();
    worker.process.signal(SIGKILL);
}

void kill_out_of_turn(WorkerEntry& worker, std::string_view what) {
    log(LogLevel::Error, "worker {worker_number} (pid {worker_pid}) has reported out of turn ({report}): killing it",
        {{"worker_number", std::int64_t{worker.number}},
         {"worker_pid", std::int64_t{worker.process.pid()}},
         {"report", what}});
    worker.state = State::Doomed;
    worker.order = DeathOrder::OutOfTurn;
    worker.patience.reset();
    worker.process.signal(SIGKILL);
}

void kill_late(WorkerEntry& worker) {
    const bool starting = worker.state == State::Starting;
    const bool replaced = worker.order == DeathOrder::Reload || worker.order == DeathOrder::Rebind ||
                          worker.order == DeathOrder::Upgrade || worker.order == DeathOrder::Recycle;
    log(LogLevel::Error,
        starting ? "worker {worker_number} (pid {worker_pid}) was not ready within --boot-timeout: killing it"
        : worker.state == State::Doomed
            ? "worker {worker_number} (pid {worker_pid}) has not died of SIGABRT: killing it"
        : replaced ? "worker {worker_number} (pid {worker_pid}) has not left within --reload-timeout: killing it"
                   : "worker {worker_number} (pid {worker_pid}) has not left within --stop-timeout: killing it",
        {{"worker_number", std::int64_t{worker.number}}, {"worker_pid", std::int64_t{worker.process.pid()}}});
    if (worker.state != State::Doomed) worker.order = starting ? DeathOrder::BootTimeout : DeathOrder::StopTimeout;
    worker.patience.reset();
    worker.process.signal(SIGKILL);
}

}  // namespace preforkd
