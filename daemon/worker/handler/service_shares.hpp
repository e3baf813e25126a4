#pragma once
// What a worker's handlers share with those of the other workers of their service.
#include <optional>

#include "common/channel/shared_ends.hpp"

namespace preforkd {

/// As far as they have said that they use it.
class ServiceShares {
public:
    /// Takes the descriptors, of which it keeps open what it needs.  Throws std::system_error.
    ServiceShares(SharedEnds ends, int generation);

    /// nullptr: no handler uses any.
    [[nodiscard]] const SharedObjects* objects() const noexcept { return objects_ ? &*objects_ : nullptr; }

private:
    std::optional<SharedObjects> objects_{};
};

}  // namespace preforkd
