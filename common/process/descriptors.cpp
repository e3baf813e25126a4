#include "common/process/descriptors.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"

namespace preforkd {

namespace {

/// By syscall(2), which a forked child has mapped anyway: close_range(3) would be one more page of libc to find.
void close_between(unsigned first, unsigned last) {
    check(static_cast<int>(::syscall(SYS_close_range, first, last, 0U)), "close inherited descriptors");
}

}  // namespace

void close_all_descriptors_except(std::span<int> keep) {
    if (!std::is_sorted(keep.begin(), keep.end())) std::sort(keep.begin(), keep.end());
    unsigned first = 3;
    for (const int fd : keep) {
        if (fd < 3) continue;
        const auto current = static_cast<unsigned>(fd);
        if (current > first) close_between(first, current - 1);
        first = current + 1;
    }
    close_between(first, ~0U);
}

void open_standard_descriptors() noexcept {
    for (;;) {
        const int fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd > 2) ::close(fd);
        if (fd < 0 || fd > 2) return;
        ::fcntl(fd, F_SETFD, 0);
    }
}

DescriptorLimit raise_descriptor_limit() {
    DescriptorLimit limit;
    check(::getrlimit(RLIMIT_NOFILE, &limit.original), "read RLIMIT_NOFILE");
    rlimit raised = limit.original;
    raised.rlim_cur = raised.rlim_max;
    // A hard limit above fs.nr_open can be inherited but not set again; what we have is then what we work with.
    const bool done = ::setrlimit(RLIMIT_NOFILE, &raised) == 0;
    limit.usable = done ? raised.rlim_cur : limit.original.rlim_cur;
    return limit;
}

std::size_t spare_descriptors(std::size_t wanted) {
    std::vector<UniqueFd> opened;
    while (opened.size() < wanted) {
        UniqueFd each{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)};
        if (!each) break;
        opened.push_back(std::move(each));
    }
    return opened.size();
}

}  // namespace preforkd
