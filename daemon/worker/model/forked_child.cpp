#include "daemon/worker/model/forked_child.hpp"

#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <ctime>

#include "common/base/sys_error.hpp"
#include "common/channel/stopping.hpp"
#include "common/log/log_output.hpp"
#include "common/process/descriptors.hpp"

namespace preforkd {

namespace {

// What the signal handler writes to: a child that never waits has no eventfd, and then the flag alone.
volatile std::sig_atomic_t terminated_fd = -1;
volatile std::sig_atomic_t terminated = 0;

/// A timer of its own, since the real-time one and SIGALRM are the handler's.  Source: timer_create(2), SIGEV_SIGNAL.
void kill_after(std::chrono::seconds time) noexcept {
    sigevent killing{};
    killing.sigev_notify = SIGEV_SIGNAL;
    killing.sigev_signo = SIGKILL;
    int timer = 0;  // the kernel's number: glibc's timer_create(3) allocates
    if (::syscall(SYS_timer_create, CLOCK_MONOTONIC, &killing, &timer) == -1) return;
    itimerspec when{};
    when.it_value.tv_sec = time.count();
    ::syscall(SYS_timer_settime, timer, 0, &when, nullptr);
}

void on_terminate(int) {
    const int saved_errno = errno;
    if (terminated == 0) kill_after(fast_stop);
    terminated = 1;
    (void)::eventfd_write(terminated_fd, 1);
    errno = saved_errno;
}

/// SIGURG, which nobody notices who does not ask for it: it wakes a wait that a drain ends.
void on_drain(int) {
    const int saved_errno = errno;
    (void)::eventfd_write(terminated_fd, 1);
    errno = saved_errno;
}

template <class... Signals>
void set_disposition(sighandler_t disposition, Signals... signals) {
    (::signal(signals, disposition), ...);
}

void take_child_signals() {
    // Not in a loop over a list: the list would be a page of its own to map, in every child.
    set_disposition(SIG_IGN, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGPIPE);
    set_disposition(SIG_DFL, SIGCHLD);
    struct sigaction action {};
    action.sa_handler = on_terminate;
    action.sa_flags = SA_RESTART;
    check(::sigaction(SIGTERM, &action, nullptr), "handle SIGTERM");
    const std::uint64_t none = 0;
    check(static_cast<int>(::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none)),
          "set the child's signal mask");
}

}  // namespace

ForkedChild::ForkedChild(pid_t worker, const std::array<int, 3>& keep, const SharedFlag& draining)
    : draining_{draining} {
    // In order where nobody signs for it, for to sort them costs a page.
    std::array kept{keep[1], keep[2], log_fd(), keep[0]};
    close_all_descriptors_except(kept);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    take_child_signals();
    if (::getppid() != worker) ::raise(SIGTERM);  // it died before we could ask to be told
}

void ForkedChild::before_first_wait() {
    terminated_ = UniqueFd{check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "make an eventfd")};
    terminated_fd = terminated_.get();
    if (terminated != 0) (void)::eventfd_write(terminated_fd, 1);  // that came when there was none to write to
}

void ForkedChild::hear() {
    eventfd_t times = 0;
    (void)::eventfd_read(terminated_.get(), &times);
    hurried_ = terminated != 0;
}

/// Only meanwhile: a signal with a handler would cut short what the author's code waits for by itself.
void ForkedChild::begin_idle_wait() {
    struct sigaction action {};
    action.sa_handler = on_drain;
    action.sa_flags = SA_RESTART;
    check(::sigaction(SIGURG, &action, &urgent_before_), "handle SIGURG");
}

void ForkedChild::end_idle_wait() noexcept { ::sigaction(SIGURG, &urgent_before_, nullptr); }

}  // namespace preforkd
