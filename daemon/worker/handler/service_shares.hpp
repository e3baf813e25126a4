#pragma once
// What a worker's handlers share with those of the other workers of their service.
#include <memory>
#include <optional>

#include "common/channel/shared_ends.hpp"
#include "common/channel/worker_bus.hpp"

namespace preforkd {

/// As far as they have said that they use it.
class ServiceShares {
public:
    /// Takes the descriptors, of which it keeps open what it needs.  Throws std::system_error.
    ServiceShares(SharedEnds ends, int generation);

    /// nullptr: no handler uses any.
    [[nodiscard]] const SharedObjects* objects() const noexcept { return objects_ ? &*objects_ : nullptr; }
    [[nodiscard]] const std::shared_ptr<WorkerBus>& bus() const noexcept { return bus_; }

private:
    std::optional<SharedObjects> objects_{};
    std::shared_ptr<WorkerBus> bus_{};
};

}  // namespace preforkd
