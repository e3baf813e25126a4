#pragma once
// A child of ours that becomes a program by fork and exec, and tells why where it does not.
#include <functional>
#include <optional>
#include <string>

#include "common/base/unique_fd.hpp"
#include "common/process/child_process.hpp"

namespace preforkd {

/// What a child was about to do when it failed; empty: the exec.
struct StartFailure {
    int error = 0;
    std::string attempt{};
};

/// Runs `body` in a child and gives what it throws, or the exec that fails within it; nullopt: it has become a program,
/// or has ended.  `body` gets the descriptor that tells, which it may move, and it shall be close-on-exec.
using BecomeProgram = std::function<void(int& failure)>;

struct StartedFork {
    ChildProcess child;  ///< without a handle yet; not reaped
    std::optional<StartFailure> failure{};
};

/// Waits until it is decided.  Throws std::system_error where there is no child to be had.
[[nodiscard]] StartedFork fork_program(const BecomeProgram& body);

/// The same for a program that is to be started: a child without a handle yet.  Throws std::system_error naming what
/// failed, for the exec `file` and why.
[[nodiscard]] ChildProcess start_by_fork(const std::string& file, const BecomeProgram& body);

/// The pipe `fd` may be opened anew, as /dev/stderr, by a program of another user.  Nobody else finds it: that takes
/// the right to look into a process that has it.
void let_others_open(int fd) noexcept;

/// In the child: no signal blocked, ignored or handled.
void take_ordinary_signals();

}  // namespace preforkd
