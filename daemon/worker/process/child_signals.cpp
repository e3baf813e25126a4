#include "daemon/worker/process/child_signals.hpp"

#include <pthread.h>

#include <csignal>
#include <system_error>

namespace preforkd {

void give_children_ordinary_signals() {
    const auto reset = [] {
        sigset_t ours;
        ::sigemptyset(&ours);
        for (const int signo : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGCHLD}) {
            ::signal(signo, SIG_DFL);
            ::sigaddset(&ours, signo);
        }
        ::pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
    };
    if (const int error = ::pthread_atfork(nullptr, nullptr, reset); error != 0)
        throw std::system_error{error, std::generic_category(), "prepare what a handler forks"};
}

}  // namespace preforkd
