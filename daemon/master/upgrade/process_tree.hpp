#pragma once
// A process that may start whatever it likes, none of which outlives it.
#include <sys/types.h>

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "common/process/child_process.hpp"

namespace preforkd {

struct TreeEnd {
    std::optional<ExitReport> root{};  ///< how the root ended; unset: it could not be made to
    std::string ended{};               ///< who still ran when that was over: `cat (pid 7), sh (pid 8)`
    bool all_gone = true;
};

/// Runs `root` as a child that leads a process group, and ends whatever it has started, once it has ended, SIGTERM is
/// pending or `parent` is dead: asks with SIGTERM, and kills 1 s later.  Throws when there can be no child.
///
/// For a child of `parent` that does nothing else, has SIGTERM and SIGCHLD blocked, and has no children yet.  It
/// becomes the subreaper of the tree, so that nobody in it escapes to other parents: not by setsid(2), nor by a second
/// fork. It is no group leader itself, which is how a dead worker's programs are told (orphans.hpp).  Closes every
/// descriptor that is not in `keep` as soon as the root has them.
[[nodiscard]] TreeEnd run_process_tree(pid_t parent, std::span<const int> keep, const std::function<int()>& root);

}  // namespace preforkd
