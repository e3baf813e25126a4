#pragma once
// The rings of all workers of a service, and what wakes those who read them.
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/unique_fd.hpp"
#include "common/channel/bus_ring.hpp"

namespace preforkd {

/// A ring for each worker, in a memfd of fixed size that each worker maps as a whole; what of it has never been used
/// takes no memory.  It belongs to the workers' user: those of another have another one.
///
/// One eventfd wakes them all: nobody reads it, each waits for its edges (EPOLLET), of which there is one for each
/// write.  So a worker holds one descriptor, however many there are, and none is made after it was forked.
class BusMemory {
public:
    explicit BusMemory(uid_t owner, std::size_t places);
    /// That of the image before this one.  Throws std::runtime_error, and both stay what they are, when this version
    /// does not know its layout.
    BusMemory(UniqueFd& memory, UniqueFd& wakeup);
    ~BusMemory();
    BusMemory(const BusMemory&) = delete;
    BusMemory& operator=(const BusMemory&) = delete;

    [[nodiscard]] int memory_fd() const noexcept { return memory_.get(); }
    [[nodiscard]] int wakeup_fd() const noexcept { return wakeup_.get(); }
    [[nodiscard]] uid_t owner() const noexcept { return owner_; }

    /// Before the worker that has this place is forked: from now on others look at its ring.  False: there is no such
    /// place.
    [[nodiscard]] bool open_place(std::size_t place) const noexcept;

private:
    struct Header;
    friend class BusRings;
    void map();

    UniqueFd memory_;
    UniqueFd wakeup_;
    uid_t owner_ = 0;
    Header* header_ = nullptr;
};

/// All rings, as a worker sees them.
class BusRings {
public:
    /// Throws std::system_error.
    explicit BusRings(int memory);
    ~BusRings();
    BusRings(const BusRings&) = delete;
    BusRings& operator=(const BusRings&) = delete;

    /// How many have been used so far.
    [[nodiscard]] std::size_t used() const noexcept;
    /// `place` is one that there is.
    [[nodiscard]] BusRing& operator[](std::size_t place) noexcept;

private:
    std::byte* mapped_ = nullptr;
    std::size_t bytes_ = 0;
    std::size_t places_ = 0;
};

}  // namespace preforkd
