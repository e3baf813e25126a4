#pragma once
// What a worker does with SIGABRT, by which the master ends a worker that hangs: it tells where.
#include <sys/types.h>

namespace preforkd {

/// From now on SIGABRT has this process send its native stack through `channel`, a frame each report, and then die of
/// the signal, so that a core still comes.  An abort() of a handler's own is told in the same way.
///
/// The handler allocates nothing, takes no lock of ours and waits for nobody, so it also works for a thread that spins,
/// or blocks in a system call.  Only dladdr() takes the loader's lock, which a thread may re-enter; where another
/// thread keeps it for ever, nothing is told, and the master's SIGKILL ends the worker as it always does.
void report_stack_on_abort(int channel);

/// The master's next SIGABRT is for the thread `hung`, which is told to show its stack; 0: for whoever gets the signal.
void blame_thread(pid_t hung) noexcept;

}  // namespace preforkd
