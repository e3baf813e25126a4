#include "daemon/worker/stop_signals.hpp"

#include <sys/eventfd.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <span>

#include "common/fast_stop.hpp"
#include "common/sys_error.hpp"
#include "daemon/worker/last_deadline.hpp"

namespace preforkd {

namespace {

// What the signal handler works on: plain values, written before it is installed.
pid_t owner = 0;
int bell = -1;
std::chrono::milliseconds patience{};
volatile std::sig_atomic_t stopping = 0;
volatile std::sig_atomic_t fast = 0;

sigset_t set_of(std::span<const int> signals) {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signo : signals) ::sigaddset(&set, signo);
    return set;
}

void on_stop_signal(int signo, siginfo_t*, void* interrupted) {
    const int saved_errno = errno;
    if (::getpid() != owner) {
        // A child that has not yet said what its signals mean: it gets this one when it has.
        ::sigaddset(&static_cast<ucontext_t*>(interrupted)->uc_sigmask, signo);
        ::raise(signo);
    } else {
        if (signo == SIGINT || stopping != 0) fast = 1;
        stopping = 1;
        arm_last_deadline(fast != 0 ? fast_stop : patience);
        (void)::eventfd_write(bell, 1);
    }
    errno = saved_errno;
}

}  // namespace

StopSignals::StopSignals(std::chrono::milliseconds stop_timeout)
    : bell_{check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "make an eventfd")} {
    owner = ::getpid();
    bell = bell_.get();
    patience = stop_timeout;
    stopping = 0;
    fast = 0;
    struct sigaction action {};
    action.sa_sigaction = on_stop_signal;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    action.sa_mask = set_of(signals);  // one after the other
    // Also what a shell's `&` has ignored: a master hears it, too.
    for (auto before = before_.begin(); const int signo : signals)
        check(::sigaction(signo, &action, &*before++), "handle the signals that stop");
    check(::sigprocmask(SIG_UNBLOCK, &action.sa_mask, nullptr), "take the signals that stop");
}

StopSignals::~StopSignals() {
    const sigset_t all = set_of(signals);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    for (auto before = before_.begin(); const int signo : signals) ::sigaction(signo, &*before++, nullptr);
    disarm_last_deadline();
}

std::optional<StopSignals::Stop> StopSignals::take() noexcept {
    eventfd_t times = 0;
    if (::eventfd_read(bell_.get(), &times) == -1) return std::nullopt;
    return fast != 0 ? Stop::Fast : Stop::Graceful;
}

}  // namespace preforkd
