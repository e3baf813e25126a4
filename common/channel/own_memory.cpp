#include "common/channel/own_memory.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <system_error>

#include "common/base/sys_error.hpp"
#include "common/channel/listener_counts.hpp"

namespace preforkd {
namespace {

constexpr long mseal_number = 462;  // on all architectures; glibc 2.36 has no name for it

}  // namespace

std::size_t page_bytes() noexcept { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

std::size_t whole_pages(std::size_t bytes) noexcept {
    const std::size_t page = page_bytes();
    return (bytes + page - 1) / page * page;
}

std::span<std::byte> own_memory() {
    static const std::span<std::byte> place = [] {
        const std::size_t bytes = page_bytes() + whole_pages(listener_rows * sizeof(ListenerRow));
        void* const reserved = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return reserved == MAP_FAILED ? std::span<std::byte>{} : std::span{static_cast<std::byte*>(reserved), bytes};
    }();
    if (place.empty()) throw std::system_error{ENOMEM, std::generic_category(), "reserve memory for records"};
    return place;
}

void map_own_memory(std::span<std::byte> place, int memory, std::size_t offset) {
    void* const mapped = ::mmap(place.data(), place.size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory,
                                static_cast<off_t>(offset));
    if (mapped == MAP_FAILED) throw_errno("map the worker's record");
    // Else mremap(2) and remap_file_pages(2) reach the other pages of the file, without a descriptor.  A filter of
    // system calls may kill for one that it does not know: there it is left out.
    if (::prctl(PR_GET_SECCOMP) == 0) (void)::syscall(mseal_number, mapped, place.size(), 0UL);
}

}  // namespace preforkd
