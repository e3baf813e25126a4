#include "daemon/worker/handler/bus_watch.hpp"

#include "daemon/worker/handler/handler_hooks.hpp"

namespace preforkd {

using namespace std::chrono_literals;

BusWatch::BusWatch(const ServiceShares& shares, WorkerRecord& record, Reactor& reactor)
    : record_{record}, reactor_{reactor}, bus_{shares.bus()} {
    if (!bus_) return;
    again_ = reactor.make_timer();
    reactor.watch(bus_->fd(), [this] { hear(); });
}

BusWatch::~BusWatch() {
    if (bus_) reactor_.forget(bus_->fd());
}

/// A callback that does not come back is a handler that hangs.
void BusWatch::hear() {
    const WorkerState before = record_.state.load(std::memory_order_relaxed);
    enter(record_, WorkerState::InHandler);
    const bool more = bus_->deliver(call_subscriber);
    leave_handler(record_, before);
    if (more) again_->set(0ms, [this] { hear(); });
}

}  // namespace preforkd
