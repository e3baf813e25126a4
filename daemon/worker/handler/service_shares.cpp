#include "daemon/worker/handler/service_shares.hpp"

#include <stdexcept>
#include <utility>

#include "daemon/worker/handler/worker_core.hpp"

namespace preforkd {

ServiceShares::ServiceShares(SharedEnds ends, int generation) {
    if (ends.memory) objects_.emplace(ends.memory.get(), generation);
    if (ends.bus) bus_ = std::make_shared<WorkerBus>(ends.bus.get(), std::move(ends.wakeup), ends.place);
}

// --- What handlers see of it ---

namespace {

std::shared_ptr<WorkerBus> bus_of(const WorkerCore& core) {
    if (core.shares() == nullptr || !core.shares()->bus())
        throw std::logic_error{"Worker::bus(): its handler has to say static constexpr bool uses_bus = true"};
    return core.shares()->bus();
}

}  // namespace

Bus& WorkerCore::bus() {
    const std::scoped_lock lock{making_};
    if (!bus_) bus_.emplace(bus_of(*this));
    return *bus_;
}

Bus& Worker::bus() { return core_.bus(); }

Bus::Bus(Worker& worker) : Bus{bus_of(worker.core_)} {}

void* Worker::find_shared(std::string_view name, std::size_t bytes, std::uint32_t version) {
    if (core_.shares() == nullptr || core_.shares()->objects() == nullptr)
        throw std::logic_error{
            "Worker::shared(): its handler has to say static constexpr bool uses_shared_memory = true"};
    return core_.shares()->objects()->find({.name = name, .bytes = bytes, .version = version});
}

}  // namespace preforkd
