#pragma once
#include <sys/signalfd.h>

#include <csignal>
#include <initializer_list>
#include <optional>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"

namespace preforkd {

/// As who has started this process expects of a signal that is not handled.  Returns where there is no such death:
/// process 1 outlives its own signals.
inline void die_of(int signo) noexcept {
    sigset_t only;
    ::sigemptyset(&only);
    ::sigaddset(&only, signo);
    ::signal(signo, SIG_DFL);
    ::raise(signo);
    ::sigprocmask(SIG_UNBLOCK, &only, nullptr);
}

/// Signals read as data from a descriptor instead of interrupting the code.
///
/// The constructor blocks `signals` for the whole process, so it must run
/// before any thread starts.  signalfd reads the *reader's* pending set, which
/// fork() empties: parent and child never see each other's signals.
class SignalFd {
public:
    explicit SignalFd(std::initializer_list<int> signals) {
        ::sigemptyset(&mask_);
        for (int signo : signals) ::sigaddset(&mask_, signo);
        check(::sigprocmask(SIG_BLOCK, &mask_, nullptr), "block signals");
        fd_ = UniqueFd{check(::signalfd(-1, &mask_, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd")};
    }

    [[nodiscard]] int get() const noexcept { return fd_.get(); }
    [[nodiscard]] const sigset_t& mask() const noexcept { return mask_; }

    /// The next pending signal number; nullopt when none is pending.
    [[nodiscard]] std::optional<int> next() const {
        const auto info = next_with_sender();
        return info ? std::optional{static_cast<int>(info->ssi_signo)} : std::nullopt;
    }

    /// The same with who has sent it (ssi_pid; 0: the kernel, or somebody outside our PID namespace).
    [[nodiscard]] std::optional<signalfd_siginfo> next_with_sender() const {
        signalfd_siginfo info{};
        if (::read(fd_.get(), &info, sizeof info) == sizeof info) return info;
        if (errno == EAGAIN || errno == EINTR) return std::nullopt;
        throw_errno("read signalfd");
    }

private:
    sigset_t mask_{};
    UniqueFd fd_;
};

}  // namespace preforkd
