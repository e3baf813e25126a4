#include "common/channel/bus_memory.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cassert>
#include <new>
#include <stdexcept>
#include <utility>

#include "common/base/sys_error.hpp"

namespace preforkd {

/// Starts the memory.  Written by masters, for workers and for a master of another version.
struct BusMemory::Header {
    std::uint64_t magic;
    std::uint64_t stride_bytes;  ///< from ring to ring
    std::atomic<std::uint64_t> used;

    static constexpr std::uint64_t expected_magic = 0x7066'6b64'6275'7301;  // "pfkdbus", version 1
    static constexpr std::size_t bytes = std::size_t{64} << 10;             // whole pages of every size that there is
    static constexpr std::size_t stride = (sizeof(BusRing) + bytes - 1) / bytes * bytes;
};

BusMemory::BusMemory(uid_t owner, std::size_t places)
    : memory_{check(::memfd_create("preforkd-bus", MFD_CLOEXEC | MFD_ALLOW_SEALING), "create the bus")},
      wakeup_{check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "create the bus")},
      owner_{owner} {
    check(::ftruncate(memory_.get(), static_cast<off_t>(Header::bytes + places * Header::stride)), "size the bus");
    // A worker that could shorten it would kill its master and the others with their next look.
    check(::fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), "seal the bus");
    check(::fchmod(memory_.get(), 0600), "keep the bus from others");
    check(::fchown(memory_.get(), owner, static_cast<gid_t>(-1)), "give the bus to the workers' user");
    map();
    header_->magic = Header::expected_magic;
    header_->stride_bytes = Header::stride;
}

BusMemory::BusMemory(UniqueFd& memory, UniqueFd& wakeup) {
    struct stat file {};
    check(::fstat(memory.get(), &file), "look at the bus");
    std::uint64_t start[2]{};
    if (!wakeup || file.st_size < static_cast<off_t>(Header::bytes) ||
        ::pread(memory.get(), start, sizeof start, 0) != sizeof start || start[0] != Header::expected_magic ||
        start[1] != Header::stride)
        throw std::runtime_error{"this version does not know the layout of the bus"};
    memory_ = std::move(memory);
    wakeup_ = std::move(wakeup);
    owner_ = file.st_uid;
    map();
}

BusMemory::~BusMemory() { ::munmap(header_, Header::bytes); }

void BusMemory::map() {
    void* const mapped = ::mmap(nullptr, Header::bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
    if (mapped == MAP_FAILED) throw_errno("map the bus");
    header_ = static_cast<Header*>(mapped);
    check(::madvise(mapped, Header::bytes, MADV_DONTFORK), "keep a mapping out of workers");
}

bool BusMemory::open_place(std::size_t place) const noexcept {
    struct stat file {};
    if (::fstat(memory_.get(), &file) == -1 ||
        static_cast<std::size_t>(file.st_size) < Header::bytes + (place + 1) * Header::stride)
        return false;
    const std::uint64_t used = header_->used.load(std::memory_order_relaxed);
    header_->used.store(std::max<std::uint64_t>(used, place + 1), std::memory_order_release);
    return true;
}

BusRings::BusRings(int memory) {
    struct stat file {};
    check(::fstat(memory, &file), "look at the bus");
    bytes_ = static_cast<std::size_t>(file.st_size);
    assert(bytes_ >= BusMemory::Header::bytes);
    places_ = (bytes_ - BusMemory::Header::bytes) / BusMemory::Header::stride;
    void* const mapped = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory, 0);
    if (mapped == MAP_FAILED) throw_errno("map the bus");
    mapped_ = static_cast<std::byte*>(mapped);
    (void)::madvise(mapped, bytes_, MADV_DONTDUMP);
    check(::madvise(mapped, bytes_, MADV_DONTFORK), "keep the bus out of children");
}

BusRings::~BusRings() { ::munmap(mapped_, bytes_); }

std::size_t BusRings::used() const noexcept {
    const auto* const header = std::launder(reinterpret_cast<const BusMemory::Header*>(mapped_));
    return std::min<std::uint64_t>(header->used.load(std::memory_order_acquire), places_);
}

BusRing& BusRings::operator[](std::size_t place) noexcept {
    assert(place < places_);
    return *std::launder(
        reinterpret_cast<BusRing*>(mapped_ + BusMemory::Header::bytes + place * BusMemory::Header::stride));
}

}  // namespace preforkd
