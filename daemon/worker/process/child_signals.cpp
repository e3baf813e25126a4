#include "daemon/worker/process/child_signals.hpp"

#include <pthread.h>

#include <csignal>
#include <system_error>

namespace preforkd {

void give_children_ordinary_signals() {
    const auto reset = [] {
        for (const int signo : {SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU}) ::signal(signo, SIG_DFL);
        sigset_t ours;
        ::sigemptyset(&ours);
        for (const int signo : {SIGQUIT, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU})
            ::sigaddset(&ours, signo);
        ::pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
    };
    if (const int error = ::pthread_atfork(nullptr, nullptr, reset); error != 0)
        throw std::system_error{error, std::generic_category(), "prepare what a handler forks"};
}

}  // namespace preforkd
