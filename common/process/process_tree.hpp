#pragma once
// A process and what it has started.
#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace preforkd {

/// Children of `ancestor`, theirs, and so on; `ancestor` itself is none of them.  Those that it cannot be told of,
/// where the kernel lacks CONFIG_PROC_CHILDREN, are left out.  Each may have gone by the time it is read. Source:
/// proc(5), /proc/PID/task/TID/children
[[nodiscard]] std::vector<pid_t> processes_below(pid_t ancestor);

/// Anonymous memory, in which what a process shares with those that it has forked counts as its share alone, so that
/// the sum over them is what would come free with all; swapped memory, too.  `exactly`: which costs the kernel a walk
/// over all pages; else what is in RAM alone, shared memory in full, from figures that cost nothing.  0: it has gone.
/// Source: proc(5), /proc/PID/smaps_rollup, /proc/PID/statm
[[nodiscard]] std::uint64_t anonymous_bytes_of(pid_t pid, bool exactly);

}  // namespace preforkd
