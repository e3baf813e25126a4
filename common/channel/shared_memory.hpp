#pragma once
// The memory that the workers of a service share, and their handlers lay out.
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "common/base/unique_fd.hpp"
#include "common/channel/shared_rows.hpp"

namespace preforkd {

/// Objects of the handlers, in a memfd of fixed size, each in a place of its own; what of it has never been written
/// takes no memory.  It is the workers' to write, all of it, and belongs to their user: those of another have another
/// one.
class SharedMemory {
public:
    /// For workers that are `owner`.
    explicit SharedMemory(uid_t owner);
    /// That of the image before this one.  Throws std::runtime_error, and `memory` stays what it is, when this version
    /// does not know its layout.
    explicit SharedMemory(UniqueFd& memory);
    ~SharedMemory();
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;

    [[nodiscard]] int memory_fd() const noexcept { return memory_.get(); }
    [[nodiscard]] uid_t owner() const noexcept { return owner_; }

    /// All workers are of the generation `oldest` or later: gives back what only earlier ones had.
    void forget_superseded(int oldest) const;

private:
    struct Header;
    void map();

    UniqueFd memory_;
    uid_t owner_ = 0;
    Header* header_ = nullptr;
};

/// The same as one worker sees it.
class SharedObjects {
public:
    /// Of a worker of `generation`.  `memory` may be closed after that.  Throws std::system_error.
    SharedObjects(int memory, int generation);
    ~SharedObjects();
    SharedObjects(const SharedObjects&) = delete;
    SharedObjects& operator=(const SharedObjects&) = delete;

    /// Where the object is, as long as this is.  Throws std::invalid_argument for a bad name, and std::length_error
    /// where there is no space for one more.  From any thread.
    [[nodiscard]] void* find(const SharedName& wanted) const;

private:
    std::byte* mapped_ = nullptr;
    std::uint64_t generation_;
};

}  // namespace preforkd
