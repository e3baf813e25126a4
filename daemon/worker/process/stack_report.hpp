#pragma once
// What a worker does when it crashes, and at SIGABRT, by which the master ends one that hangs: it tells where.
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace preforkd {

/// From now on this process, and each that is forked from it, tells in the log when it crashes: of which signal, where,
/// and its native stack, a line for each frame with the command that names its place in the source.  Then it dies of
/// the signal as it would have, so that the exit status and the core stay.  At SIGABRT from its parent, which has said
/// why, the stack alone is told.  `worker`: its number, 0 for a process that has no master.
///
/// A signal that has a handler already, of a handler author or a sanitizer, keeps it; so does one that gets its own
/// later.  The calling thread tells of a stack that has overflowed, too; others need a SignalStack for that.
///
/// Allocates nothing, takes no lock of ours and waits for nobody, so it also works for a thread that spins, or blocks
/// in a system call, or has spoilt the heap.  Only dladdr() takes the loader's lock, which a thread may re-enter; where
/// another thread keeps it for ever, SIGALRM ends the process after some seconds.
void report_crashes(int worker);

/// SIGABRT is for the thread `hung`, which is told to show its stack; 0: for whoever gets the signal.
void blame_thread(pid_t hung) noexcept;

/// Where signal handlers run when the calling thread has used up its own stack.  A local object of the function that
/// the thread is, so that it lasts as long as the thread does.
class SignalStack {
public:
    SignalStack() noexcept;
    ~SignalStack();
    SignalStack(const SignalStack&) = delete;
    SignalStack& operator=(const SignalStack&) = delete;

private:
    // Not in the thread's own stack: glibc gives back what an ended thread has used below the first page or so, and the
    // next thread would fault it in again (24 us of the 78 that a connection in model thread then took).
    struct Memory {
        alignas(16) std::array<std::byte, 65536> bytes;  // not initialised: pages come when they are touched
    };
    static std::vector<std::unique_ptr<Memory>>& spare();  ///< of threads that have ended

    std::unique_ptr<Memory> memory_{};
};

}  // namespace preforkd
