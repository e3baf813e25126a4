#include "common/process/kernel_needs.hpp"

#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include "common/base/operator_error.hpp"
#include "common/base/shortage.hpp"
#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/process/child_process.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

constexpr unsigned last_descriptor = ~0U;  // never open

void need(bool available, const char* call) {
    if (available) return;
    if (!shortage_remedy(errno).empty()) throw_errno(call);
    throw OperatorError{ExitCode::System,
                        std::string{call} + ": " + std::strerror(errno) +
                            ": preforkd needs Linux 5.9, and of a seccomp profile that it allows pidfd_open, "
                            "pidfd_send_signal, close_range, memfd_create and accept4"};
}

/// We are no child of our own: a kernel that knows the call says ECHILD, Linux before 5.4 EINVAL.  Source: waitid(2).
bool can_wait_for(int pidfd) noexcept {
    ::siginfo_t info{};
    return ::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG) == 0 || errno == ECHILD;
}

}  // namespace

void check_kernel() {
    const UniqueFd self{::pidfd_open(::getpid(), 0)};
    need(static_cast<bool>(self), "pidfd_open");
    need(::pidfd_send_signal(self.get(), 0, nullptr, 0) == 0, "pidfd_send_signal");
    need(can_wait_for(self.get()), "waitid of a pidfd");
    need(::close_range(last_descriptor, last_descriptor, 0) == 0, "close_range");
    need(static_cast<bool>(UniqueFd{::memfd_create("preforkd", MFD_CLOEXEC)}), "memfd_create");
    const int no_descriptor = -1;
    need(::accept4(no_descriptor, nullptr, nullptr, SOCK_CLOEXEC) == 0 || errno == EBADF, "accept4");
}

void warn_without_proc() noexcept {
    if (::access("/proc/self/stat", R_OK) == 0) return;
    log(LogLevel::Warning,
        "/proc is not mounted: --max-memory does nothing, no upgrade can be had, and the CPU quota, "
        "and programs that a killed worker leaves behind, are not seen");
}

}  // namespace preforkd
