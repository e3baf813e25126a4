#include "daemon/master/pool/worker_orders.hpp"

#include <algorithm>
#include <utility>

#include "common/base/parse_number.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

using State = WorkerEntry::State;

/// A leaving worker ends by itself: at the stop timeout, and a fast stop later at the latest; only one that is stuck is
/// killed.
constexpr auto grace_beyond_stop_timeout = fast_stop + 2s;
constexpr auto patience_after_abort = 2s;  // to write a stack, and a core

}  // namespace

void send(WorkerEntry& worker, Order order, std::uint32_t listener) {
    switch (order) {
        case Order::LookForClients: (void)send_order(worker.channel.orders.get(), order); return;
        case Order::EmptyQueue: worker.unsent.closing.insert(listener); break;
    }
    send_unsent(worker);
}

void ask_to_leave(WorkerEntry& worker) {
    worker.unsent.leave = true;
    send_unsent(worker);
}

void send_unsent(WorkerEntry& worker) {
    UnsentOrders& unsent = worker.unsent;
    const int channel = worker.channel.orders.get();
    while (!unsent.closing.empty() && send_order(channel, Order::EmptyQueue, *unsent.closing.begin()))
        unsent.closing.erase(unsent.closing.begin());
    if (!unsent.closing.empty() || !std::exchange(unsent.leave, false)) return;
    worker.process.signal(SIGQUIT);
}

void nudge_least_busy(WorkerTable& workers, std::size_t connections, const WorkerEntry* except) {
    // Only one with capacity: those without it look by themselves when they have capacity again.
    WorkerEntry* best = nullptr;
    std::uint64_t least = connections;
    for (WorkerEntry& worker : workers) {
        const bool accepts = worker.state == State::Ready || worker.state == State::Retiring;
        if (&worker == except || worker.stopped || !accepts || worker.active() >= least) continue;
        best = &worker;
        least = worker.active();
    }
    if (best != nullptr) send(*best, Order::LookForClients);
}

DeathOrder order_of_exchange(const Generation& coming) noexcept {
    return coming.binds_again ? DeathOrder::Rebind : DeathOrder::Reload;
}

Deadline gone_by(std::chrono::milliseconds stop_timeout, Clock::time_point now) {
    return stop_timeout == 0ms ? Deadline{} : now + stop_timeout + grace_beyond_stop_timeout;
}

void extend_patience(WorkerEntry& worker, std::string_view milliseconds, Clock::time_point now) {
    constexpr std::chrono::milliseconds longest = 24h;
    const auto asked = parse_number<std::uint32_t>(milliseconds);
    if (!asked || !worker.patience) return;
    const auto more = std::min(std::chrono::milliseconds{*asked}, longest);
    worker.patience = std::max(*worker.patience, now + more + grace_beyond_stop_timeout);
}

void dismiss(WorkerEntry& worker, DeathOrder order, Deadline patience, const std::vector<std::uint32_t>& closing) {
    for (const std::uint32_t index : closing) send(worker, Order::EmptyQueue, index);
    worker.state = State::Leaving;
    worker.order = order;
    worker.patience = patience;
    ask_to_leave(worker);
}

void terminate(WorkerEntry& worker, DeathOrder order, Clock::time_point now) {
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
    log(LogLevel::Error,
        starting ? "worker {worker_number} (pid {worker_pid}) was not ready within --boot-timeout: killing it"
        : worker.state == State::Doomed
            ? "worker {worker_number} (pid {worker_pid}) has not died of SIGABRT: killing it"
            : "worker {worker_number} (pid {worker_pid}) has not left within --stop-timeout: killing it",
        {{"worker_number", std::int64_t{worker.number}}, {"worker_pid", std::int64_t{worker.process.pid()}}});
    if (worker.state != State::Doomed) worker.order = starting ? DeathOrder::BootTimeout : DeathOrder::StopTimeout;
    worker.patience.reset();
    worker.process.signal(SIGKILL);
}

}  // namespace preforkd
