// What the pool says to its workers: orders over their channels, and signals.
#include <utility>

#include "common/log/log_output.hpp"
#include "daemon/master/pool/pool.hpp"

namespace preforkd {

void Pool::tell(WorkerSlot& slot, Order order, std::uint32_t listener) {
    switch (order) {
        case Order::LookForClients: (void)send_order(slot.channel.get(), order); return;
        case Order::EmptyQueue: slot.unsent.closing.insert(listener); break;
        case Order::TakeLog: slot.unsent.take_log = true; break;
    }
    send_unsent(slot);
}

void Pool::ask_to_leave(WorkerSlot& slot) {
    slot.unsent.leave = true;
    send_unsent(slot);
}

void Pool::send_unsent(WorkerSlot& slot) {
    UnsentOrders& unsent = slot.unsent;
    const int channel = slot.channel.get();
    // The number of the log stays, so what is sent is the output that was opened last.
    if (unsent.take_log && send_order(channel, Order::TakeLog, {.passed_fd = log_fd()})) unsent.take_log = false;
    while (!unsent.closing.empty() && send_order(channel, Order::EmptyQueue, {.listener = *unsent.closing.begin()}))
        unsent.closing.erase(unsent.closing.begin());
    if (!unsent.closing.empty() || !std::exchange(unsent.leave, false)) return;
    slot.process.signal(SIGQUIT);
}

void Pool::nudge_sibling_of(const WorkerSlot* slot) {
    // Only one with capacity: those without it look by themselves when they have capacity again.
    WorkerSlot* best = nullptr;
    std::uint64_t least = current_.plan.pool.connections;
    for (WorkerSlot& sibling : table_) {
        if (&sibling == slot || sibling.stopped || (sibling.state != State::Ready && sibling.state != State::Retiring))
            continue;
        if (active(sibling) >= least) continue;
        best = &sibling;
        least = active(sibling);
    }
    if (best != nullptr) tell(*best, Order::LookForClients);
}

void Pool::signal_all(int signo) {
    closing_ = true;
    for (WorkerSlot& slot : table_) {
        if (slot.order == DeathOrder::None) slot.order = DeathOrder::Stop;
        signo == SIGQUIT ? ask_to_leave(slot) : slot.process.signal(signo);
    }
}

void Pool::order_all(Order order) {
    for (WorkerSlot& slot : table_) tell(slot, order);
}

}  // namespace preforkd
