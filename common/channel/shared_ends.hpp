#pragma once
// What a worker is given of the memory that it shares with the others of its service.
#include <optional>

#include "common/base/unique_fd.hpp"
#include "common/channel/shared_memory.hpp"

namespace preforkd {

/// As far as its handlers use it.
struct SharedEnds {
    UniqueFd memory{};  ///< of SharedMemory
};

/// Copies of the descriptors; nullptr: that is not used.  Throws std::system_error.
[[nodiscard]] SharedEnds ends_of(const SharedMemory* memory);

/// For a server without a master, which shares it with nobody but its own children.
class OwnAreas {
public:
    explicit OwnAreas(bool uses_memory);
    [[nodiscard]] SharedEnds ends() const;

private:
    std::optional<SharedMemory> memory_{};
};

}  // namespace preforkd
