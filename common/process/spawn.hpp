#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <concepts>
#include <csignal>
#include <cstdio>
#include <exception>
#include <utility>

#include "common/process/child_process.hpp"

namespace preforkd {

/// Space for the handle on a child that is about to be made.  A child that runs already when its handle cannot be had
/// may have answered its client, who would then be answered twice.  Throws when there is no space; close it in both
/// processes.
[[nodiscard]] inline UniqueFd reserve_for_handle() {
    UniqueFd space{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)};
    if (!space && (errno == EMFILE || errno == ENFILE)) throw_errno("reserve space for the handle on a process");
    return space;
}

/// Forks, runs `body` in the child, and exits the child with body's result.
///
/// The child never returns into the caller's stack, so no code after a call to
/// spawn() ever has to ask which process it is in.  It leaves through _exit():
/// the parent's atexit handlers and stdio buffers are not the child's to run.
/// This is the only fork() in the project.  With Handle::Now a child that runs has a pidfd, or there is none.
template <std::invocable Body>
    requires std::same_as < std::invoke_result_t<Body>,
int > [[nodiscard]] ChildProcess spawn(Body&& body, ChildProcess::Handle handle = ChildProcess::Handle::Now) {
    UniqueFd space = handle == ChildProcess::Handle::Now ? reserve_for_handle() : UniqueFd{};
    const pid_t pid = check(::fork(), "fork");
    space = {};
    if (pid != 0) {
        try {
            return ChildProcess{pid, handle};
        } catch (...) {  // no descriptor left for the pidfd: nobody may run untracked
            ::kill(pid, SIGKILL);
            ::waitpid(pid, nullptr, 0);
            throw;
        }
    }

    constexpr int internal_error = 70;  // EX_SOFTWARE, sysexits.h
    try {
        ::_exit(std::forward<Body>(body)());
    } catch (const std::exception& error) { std::fprintf(stderr, "worker: %s\n", error.what()); } catch (...) {
    }
    ::_exit(internal_error);
}

}  // namespace preforkd
