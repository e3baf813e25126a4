#pragma once
// The worker's loop hears what is published on the bus.
#include <memory>

#include "common/channel/scoreboard.hpp"
#include "common/channel/worker_bus.hpp"
#include "daemon/worker/handler/service_shares.hpp"
#include "daemon/worker/loop/reactor.hpp"

namespace preforkd {

/// As long as it lives, and where a handler uses the bus; else it does nothing.
class BusWatch {
public:
    BusWatch(const ServiceShares& shares, WorkerRecord& record, Reactor& reactor);
    ~BusWatch();
    BusWatch(const BusWatch&) = delete;
    BusWatch& operator=(const BusWatch&) = delete;

private:
    void hear();

    WorkerRecord& record_;
    Reactor& reactor_;
    std::shared_ptr<WorkerBus> bus_;
    std::unique_ptr<Timer> again_{};
};

}  // namespace preforkd
