#pragma once
// What a worker is given of the memory that it shares with the others of its service.
#include <cstddef>
#include <optional>

#include "common/base/unique_fd.hpp"
#include "common/channel/bus_memory.hpp"
#include "common/channel/shared_memory.hpp"

namespace preforkd {

/// As far as its handlers use it: each may be empty.
struct SharedEnds {
    UniqueFd memory{};      ///< of SharedMemory
    UniqueFd bus{};         ///< of BusMemory
    UniqueFd wakeup{};      ///< of that, too
    std::size_t place = 0;  ///< its ring there
};

/// Copies of the descriptors; nullptr: that is not used.  Throws std::system_error, and std::length_error where the bus
/// has no such place.
[[nodiscard]] SharedEnds ends_of(const SharedMemory* memory, const BusMemory* bus, std::size_t place);

/// For a server without a master, which shares it with nobody but its own children.
class OwnAreas {
public:
    OwnAreas(bool uses_memory, bool uses_bus);
    [[nodiscard]] SharedEnds ends() const;

private:
    std::optional<SharedMemory> memory_{};
    std::optional<BusMemory> bus_{};
};

}  // namespace preforkd
