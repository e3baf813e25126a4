#include "daemon/worker/process/child_signals.hpp"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <system_error>

namespace preforkd {

namespace {

pid_t worker = 0;  ///< whose own children see to their signals themselves

void reset_signals() {
    sigset_t ours;
    ::sigemptyset(&ours);
    for (const int signo : {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGCHLD}) {
        ::signal(signo, SIG_DFL);
        ::sigaddset(&ours, signo);
    }
    ::pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
}

void run_in_children(void (*function)()) {
    if (const int error = ::pthread_atfork(nullptr, nullptr, function); error != 0)
        throw std::system_error{error, std::generic_category(), "prepare what a handler forks"};
}

}  // namespace

void give_children_ordinary_signals() { run_in_children(reset_signals); }

void give_grandchildren_ordinary_signals() {
    worker = ::getpid();
    run_in_children([] {
        if (::getppid() != worker) reset_signals();
    });
}

}  // namespace preforkd
