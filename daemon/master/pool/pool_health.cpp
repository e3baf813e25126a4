// The pool's part of health_policy.hpp: workers that hang or were stopped.
#include <cstring>

#include "daemon/master/pool/pool.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto patience_after_abort = 2s;  // to write a stack, and a core

WorkerLook look_at(const WorkerRecord& record, bool stopped, Clock::time_point now) {
    const std::int64_t since_ns = record.since_ns.load(std::memory_order_relaxed);
    const std::chrono::nanoseconds age{now.time_since_epoch().count() - since_ns};
    return {.state = record.state.load(std::memory_order_relaxed),
            .since_ns = since_ns,
            .age = std::chrono::duration_cast<std::chrono::milliseconds>(age),
            .stopped = stopped};
}

}  // namespace

void Pool::watch(Clock::time_point now) {
    if (!has_passed(watching_.next_look, now)) return;
    const auto timeout = current_.plan.pool.worker_timeout;
    const auto gap = std::chrono::duration_cast<std::chrono::milliseconds>(now - watching_.last_look);
    const auto awake = awake_of(gap, watching_.planned);
    std::chrono::milliseconds busiest{0};
    bool any_stopped = false;
    for (WorkerSlot& slot : table_) {
        if (slot.state == State::Doomed) continue;
        slot.history = look_again(slot.history, look_at(slots_[slot.record], slot.stopped, now), awake);
        switch (judge(slot.history, timeout)) {
            case Verdict::Well: break;
            case Verdict::Ask:
                slot.history.asked = true;
                tell(slot, Order::LookForClients);
                break;
            case Verdict::Hung: abort_hung(slot, now); continue;
            case Verdict::Lifeless: kill_lifeless(slot); continue;
        }
        busiest = std::max(busiest, slot.history.busy);
        any_stopped |= slot.stopped;
    }
    // One that was stopped between its wake-up and its accept keeps the wake-up.
    if (any_stopped) nudge_sibling_of(nullptr);
    const auto next = until_next_look(timeout, busiest, any_stopped);
    watching_ = {
        .next_look = next ? Deadline{now + *next} : Deadline{}, .last_look = now, .planned = next.value_or(0ms)};
}

void Pool::abort_hung(WorkerSlot& slot, Clock::time_point now) {
    log(LogLevel::Error,
        "worker {worker_number} (pid {worker_pid}) hangs in its handler for {busy_seconds} s: aborting it",
        {{"worker_number", std::int64_t{slot.number}},
         {"worker_pid", std::int64_t{slot.process.pid()}},
         {"busy_seconds", static_cast<double>(slot.history.busy.count()) / 1000}});
    slot.state = State::Doomed;
    slot.order = DeathOrder::Hang;
    slot.patience = now + patience_after_abort;
    slot.process.signal(SIGABRT);
}

void Pool::kill_lifeless(WorkerSlot& slot) {
    log(LogLevel::Error, "worker {worker_number} (pid {worker_pid}) has been stopped for too long: killing it",
        {{"worker_number", std::int64_t{slot.number}}, {"worker_pid", std::int64_t{slot.process.pid()}}});
    slot.state = State::Doomed;
    slot.order = DeathOrder::Lifeless;
    slot.patience.reset();
    slot.process.signal(SIGKILL);
}

void Pool::note_stop(pid_t pid, int signo, Clock::time_point now) {
    WorkerSlot* const slot = table_.find(pid);
    if (slot == nullptr || slot->stopped == (signo != 0)) return;
    slot->stopped = signo != 0;
    watching_.next_look = now;
    if (slot->stopped)
        log(LogLevel::Warning,
            "worker {worker_number} (pid {worker_pid}) was stopped by SIG{signal}: starting a replacement until it "
            "continues",
            {{"worker_number", std::int64_t{slot->number}},
             {"worker_pid", std::int64_t{pid}},
             {"signal", sigabbrev_np(signo)}});
    else
        log(LogLevel::Notice, "worker {worker_number} (pid {worker_pid}) continues",
            {{"worker_number", std::int64_t{slot->number}}, {"worker_pid", std::int64_t{pid}}});
}

bool Pool::healthy() const noexcept {
    const auto timeout = current_.plan.pool.worker_timeout;
    int workers = 0;
    int hung = 0;
    for (const WorkerSlot& slot : table_) {
        if (slot.stopped) continue;
        ++workers;
        if (slot.state == State::Doomed || (timeout != 0ms && slot.history.busy > timeout)) ++hung;
    }
    return has_quorum(workers, hung);
}

}  // namespace preforkd
