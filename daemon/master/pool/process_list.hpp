#pragma once
// The processes of this machine, as /proc tells.
#include <sys/types.h>

#include <vector>

namespace preforkd {

struct ProcessEntry {
    pid_t pid = 0;
    pid_t parent = 0;
    pid_t group = 0;
    pid_t session = 0;
    char state = 0;  ///< `Z` has ended and is not reaped
};

/// All that can be seen; none without /proc.  Each may have gone, or have other parents, by the time it is read.
/// Source: proc(5).
[[nodiscard]] std::vector<ProcessEntry> list_processes();

/// Children of `ancestor`, theirs, and so on, save those that have ended; parents come before their children.
[[nodiscard]] std::vector<ProcessEntry> list_descendants(pid_t ancestor);

}  // namespace preforkd
