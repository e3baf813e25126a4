#include "common/channel/shared_ends.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <stdexcept>

#include "common/base/sys_error.hpp"

namespace preforkd {

namespace {

UniqueFd copy_for_worker(int fd) { return UniqueFd{check(::fcntl(fd, F_DUPFD_CLOEXEC, 3), "duplicate a descriptor")}; }

}  // namespace

SharedEnds ends_of(const SharedMemory* memory, const BusMemory* bus, std::size_t place) {
    SharedEnds ends{.place = place};
    if (memory != nullptr) ends.memory = copy_for_worker(memory->memory_fd());
    if (bus == nullptr) return ends;
    if (!bus->open_place(place)) throw std::length_error{"no vacant ring in the bus"};
    ends.bus = copy_for_worker(bus->memory_fd());
    ends.wakeup = copy_for_worker(bus->wakeup_fd());
    return ends;
}

OwnAreas::OwnAreas(bool uses_memory, bool uses_bus) {
    if (uses_memory) memory_.emplace(::geteuid());
    if (uses_bus) bus_.emplace(::geteuid(), std::size_t{1});
}

SharedEnds OwnAreas::ends() const { return ends_of(memory_ ? &*memory_ : nullptr, bus_ ? &*bus_ : nullptr, 0); }

}  // namespace preforkd
