#include "daemon/master/pool/health_watch.hpp"

#include <cstring>

#include "daemon/master/pool/worker_orders.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

WorkerLook look_at(const WorkerRecord& record, bool stopped, Clock::time_point now) {
    return {.state = record.state.load(std::memory_order_relaxed),
            .since_ns = record.since_ns.load(std::memory_order_relaxed),
            .age = std::chrono::duration_cast<std::chrono::milliseconds>(age_of(record, now)),
            .stopped = stopped};
}

}  // namespace

void HealthWatch::look(WorkerTable& workers, const PoolSettings& pool, Clock::time_point now) {
    if (!has_passed(next_look_, now)) return;
    const auto timeout = pool.worker_timeout;
    const auto gap = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_look_);
    const auto awake = awake_of(gap, planned_);
    std::chrono::milliseconds busiest{0};
    bool any_stopped = false;
    for (WorkerEntry& worker : workers) {
        if (worker.state == WorkerEntry::State::Doomed) continue;
        worker.history = look_again(worker.history, look_at(worker.record, worker.stopped, now), awake);
        switch (judge(worker.history, timeout)) {
            case Verdict::Well: break;
            case Verdict::Ask:
                worker.history.asked = true;
                send(worker, Order::LookForClients);
                break;
            case Verdict::Hung: abort_hung(worker, now); continue;
            case Verdict::Lifeless: kill_lifeless(worker); continue;
        }
        busiest = std::max(busiest, worker.history.busy);
        any_stopped |= worker.stopped;
    }
    // One that was stopped between its wake-up and its accept keeps the wake-up.
    if (any_stopped) nudge_least_busy(workers);
    const auto next = until_next_look(timeout, busiest, any_stopped);
    next_look_ = next ? Deadline{now + *next} : Deadline{};
    last_look_ = now;
    planned_ = next.value_or(0ms);
}

void HealthWatch::note_stop(WorkerEntry& worker, int signo, Clock::time_point now) {
    if (worker.stopped == (signo != 0)) return;
    worker.stopped = signo != 0;
    next_look_ = now;
    if (worker.stopped)
        log(LogLevel::Warning,
            "worker {worker_number} (pid {worker_pid}) was stopped by SIG{signal}: starting a replacement until it "
            "continues",
            {{"worker_number", std::int64_t{worker.number}},
             {"worker_pid", std::int64_t{worker.process.pid()}},
             {"signal", sigabbrev_np(signo)}});
    else
        log(LogLevel::Notice, "worker {worker_number} (pid {worker_pid}) continues",
            {{"worker_number", std::int64_t{worker.number}}, {"worker_pid", std::int64_t{worker.process.pid()}}});
}

bool most_respond(const WorkerTable& workers, std::chrono::milliseconds worker_timeout) noexcept {
    int counted = 0;
    int hung = 0;
    for (const WorkerEntry& worker : workers) {
        // What others have replaced serves no new client, however well it is.
        if (worker.stopped || worker.state == WorkerEntry::State::Leaving) continue;
        ++counted;
        if (worker.state == WorkerEntry::State::Doomed ||
            (worker_timeout != 0ms && worker.history.busy > worker_timeout))
            ++hung;
    }
    return has_quorum(counted, hung);
}

}  // namespace preforkd
