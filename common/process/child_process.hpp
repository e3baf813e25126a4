#pragma once

#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
// glibc 2.36 (Debian 12) ships it without extern "C": C++ that includes it as it is compiles, and then fails to link.
extern "C" {
#include <sys/pidfd.h>
}

#include <csignal>
#include <optional>
#include <string>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"

namespace preforkd {

/// How a child ended: an exit code, or the signal that killed it, with or without a core dump.  Unknown: somebody else
/// in this process has collected that, or the kernel has, as it does where SIGCHLD is ignored.
struct ExitReport {
    enum class Kind { Exited, Killed, Dumped, Unknown } kind;
    int value;  ///< the exit code or the signal number; 0 where it is unknown
    friend bool operator==(const ExitReport&, const ExitReport&) = default;
};

/// How a child ended, as an operator would say it: `exited with code 70`, `killed by SIGSEGV, core dumped`,
/// `ended unobserved`.
[[nodiscard]] std::string describe(const ExitReport& report);

/// What a parent holds of one child.
///
/// Destroying it neither signals nor waits.  Every forked worker inherits a
/// copy of its siblings' handles; a destructor that killed would make one
/// worker's clean exit take the whole pool down.
class ChildProcess {
public:
    /// Whether to open a pidfd at once.  Without one a child is signaled and reaped by its number, which is its own
    /// until it is reaped, and nobody can wait for its end among other events.
    enum class Handle { Now, Later };

    /// `pid` must be an unreaped child of this process: until it is reaped the
    /// kernel cannot recycle the number, so pidfd_open() cannot race.
    explicit ChildProcess(pid_t pid, Handle handle = Handle::Now) : pid_{pid} {
        if (handle == Handle::Now) open_handle();
    }

    /// Throws std::system_error where there is no descriptor or memory for it.
    void open_handle() { pidfd_ = UniqueFd{check(::pidfd_open(pid_, 0), "pidfd_open worker")}; }

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }  ///< -1: none

    /// Sends `signo`.  A child that is already gone is not an error.
    void signal(int signo) const {
        const int rc = pidfd_ ? ::pidfd_send_signal(pidfd_.get(), signo, nullptr, 0) : ::kill(pid_, signo);
        if (rc == -1 && errno != ESRCH) throw_errno("signal worker");
    }

    /// Collects the exit status, and what the child has used; nullopt while it still runs.
    ///
    /// Should be the only one to reap this child.  A process that also adopts orphans
    /// (PID 1, a subreaper) first looks with waitid(P_ALL, WNOWAIT) whose child it is.
    /// An embedding program may have a waitpid(-1) loop beside this one, or ignore
    /// SIGCHLD: then a child that has ended is no child any more (ECHILD).
    [[nodiscard]] std::optional<ExitReport> try_reap(rusage* used = nullptr) const {
        using enum ExitReport::Kind;
        siginfo_t info{};
        // The system call's fifth argument, which glibc's waitid(2) keeps to itself.
        const long rc = ::syscall(SYS_waitid, pidfd_ ? P_PIDFD : P_PID, pidfd_ ? pidfd_.get() : pid_, &info,
                                  WEXITED | WNOHANG, used);
        if (rc == -1 && errno == ECHILD && has_ended()) return ExitReport{Unknown, 0};
        check(static_cast<int>(rc), "reap worker");  // ECHILD of one that runs: it is not ours
        if (info.si_pid == 0) return std::nullopt;
        const auto kind = info.si_code == CLD_EXITED ? Exited : info.si_code == CLD_DUMPED ? Dumped : Killed;
        return ExitReport{kind, info.si_status};
    }

private:
    /// Also of one that has been reaped.  True where only the number is known, which is then nobody's, or another's.
    [[nodiscard]] bool has_ended() const noexcept {
        if (!pidfd_) return true;
        pollfd end{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
        return ::poll(&end, 1, 0) == 1;
    }

    pid_t pid_;
    UniqueFd pidfd_{};
};

}  // namespace preforkd
