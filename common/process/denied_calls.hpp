#pragma once
// What happens when a worker in --sandbox strict tries a system call that its model does not need.
#include <string>
#include <vector>

#include "common/process/strict_policy.hpp"

namespace preforkd {

/// From now on such a call fails with EPERM in this process and those that are forked from it, and the log names it,
/// once for each call, with the option that would allow it.  `names`: of the calls by their numbers; must stay.
/// `needs`: by which the calls are allowed.
///
/// Calls that open a file are made all the same, as openat2(2), which the filter has to leave: which files there are,
/// Landlock decides.  One that is there but not allowed is EACCES, and the log names it.
///
/// The kernel sends SIGSYS to the thread that has tried: a thread that blocks that signal, and a program that was
/// executed, die of it.  Throws std::system_error.
void answer_denied_calls(const std::vector<std::string>& names, const StrictNeeds& needs);

}  // namespace preforkd
