#pragma once
// The memory that workers share with each other, of which their master only has the descriptors.
#include <memory>
#include <vector>

#include "common/channel/bus_memory.hpp"
#include "common/channel/shared_ends.hpp"
#include "common/channel/shared_memory.hpp"
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/handover.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// Made when the first worker that uses it is forked, and kept over reloads and upgrades; each belongs to one user.
class SharedAreas {
public:
    /// Takes the descriptors.  What has another version's layout is left as it is, for an image that knows it.
    void adopt(const std::vector<HandedArea>& handed);
    [[nodiscard]] std::vector<HandedArea> describe() const;

    /// What a worker of a generation with this use gets; `place` is that of its record.  Throws std::system_error.
    [[nodiscard]] SharedEnds ends_for(const SharedUse& use, std::size_t place);

    /// A worker is gone: gives back what only those before the current generation had.
    void tidy(const WorkerTable& workers, const Generation& current, const Generation* next);

private:
    struct Unknown {
        UniqueFd memory{};
        UniqueFd wakeup{};
    };

    std::vector<std::unique_ptr<SharedMemory>> memories_{};
    std::vector<std::unique_ptr<BusMemory>> buses_{};
    std::vector<Unknown> unknown_{};
};

}  // namespace preforkd
