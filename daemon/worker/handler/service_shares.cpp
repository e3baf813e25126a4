#include "daemon/worker/handler/service_shares.hpp"

#include <stdexcept>

#include "daemon/worker/handler/worker_core.hpp"

namespace preforkd {

ServiceShares::ServiceShares(SharedEnds ends, int generation) {
    if (ends.memory) objects_.emplace(ends.memory.get(), generation);
}

// --- What handlers see of it ---

void* Worker::find_shared(std::string_view name, std::size_t bytes, std::uint32_t version) {
    if (core_.shares() == nullptr || core_.shares()->objects() == nullptr)
        throw std::logic_error{
            "Worker::shared(): its handler has to say static constexpr bool uses_shared_memory = true"};
    return core_.shares()->objects()->find({.name = name, .bytes = bytes, .version = version});
}

}  // namespace preforkd
