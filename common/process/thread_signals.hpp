#pragma once
// Which signals a thread beside the main one takes.
#include <csignal>

namespace preforkd {

/// All are the main thread's, whatever a handler does in its own; only a fault belongs to the thread that faults.
[[nodiscard]] inline sigset_t blocked_in_a_thread() noexcept {
    sigset_t blocked;
    ::sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) ::sigdelset(&blocked, fault);
    return blocked;
}

/// While it lives, the threads that the calling one starts take no other signal than that.
class ThreadSignals {
public:
    ThreadSignals() noexcept {
        const sigset_t blocked = blocked_in_a_thread();
        ::pthread_sigmask(SIG_SETMASK, &blocked, &before_);
    }
    ~ThreadSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    ThreadSignals(const ThreadSignals&) = delete;
    ThreadSignals& operator=(const ThreadSignals&) = delete;

private:
    sigset_t before_{};
};

}  // namespace preforkd
