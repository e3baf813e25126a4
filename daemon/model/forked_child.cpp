#include "daemon/model/forked_child.hpp"

#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <vector>

#include "common/descriptors.hpp"
#include "common/log_output.hpp"
#include "common/sys_error.hpp"

namespace preforkd {

namespace {

constexpr unsigned seconds_after_term = 2;  // what a fast stop grants everybody

int terminated_fd = -1;  // what the signal handler writes to

void on_terminate(int) {
    const int saved_errno = errno;
    ::alarm(seconds_after_term);
    (void)::eventfd_write(terminated_fd, 1);
    errno = saved_errno;
}

void take_child_signals() {
    for (const int signo : {SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGPIPE})
        ::signal(signo, SIG_IGN);
    for (const int signo : {SIGCHLD, SIGIO, SIGALRM, SIGABRT}) ::signal(signo, SIG_DFL);
    struct sigaction action {};
    action.sa_handler = on_terminate;
    action.sa_flags = SA_RESTART;
    check(::sigaction(SIGTERM, &action, nullptr), "handle SIGTERM");
    sigset_t none;
    ::sigemptyset(&none);
    check(::sigprocmask(SIG_SETMASK, &none, nullptr), "set the child's signal mask");
}

}  // namespace

ForkedChild::ForkedChild(pid_t worker, std::span<const int> keep) {
    std::vector<int> kept{keep.begin(), keep.end()};
    kept.push_back(log_fd());
    close_all_descriptors_except(kept);
    terminated_ = UniqueFd{check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "make an eventfd")};
    terminated_fd = terminated_.get();
    ::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    take_child_signals();
    if (::getppid() != worker) ::raise(SIGTERM);  // it died before we could ask to be told
}

void ForkedChild::hear() {
    eventfd_t times = 0;
    (void)::eventfd_read(terminated_.get(), &times);
    hurried_ = true;
}

}  // namespace preforkd
