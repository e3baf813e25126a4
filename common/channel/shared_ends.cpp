#include "common/channel/shared_ends.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "common/base/sys_error.hpp"

namespace preforkd {

namespace {

UniqueFd copy_for_worker(int fd) { return UniqueFd{check(::fcntl(fd, F_DUPFD_CLOEXEC, 3), "duplicate a descriptor")}; }

}  // namespace

SharedEnds ends_of(const SharedMemory* memory) {
    SharedEnds ends;
    if (memory != nullptr) ends.memory = copy_for_worker(memory->memory_fd());
    return ends;
}

OwnAreas::OwnAreas(bool uses_memory) {
    if (uses_memory) memory_.emplace(::geteuid());
}

SharedEnds OwnAreas::ends() const { return ends_of(memory_ ? &*memory_ : nullptr); }

}  // namespace preforkd
