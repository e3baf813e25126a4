#pragma once
#include <unistd.h>

#include <concepts>
#include <csignal>
#include <cstdio>
#include <exception>
#include <utility>

#include "common/child_process.hpp"

namespace preforkd {

/// Forks, runs `body` in the child, and exits the child with body's result.
///
/// The child never returns into the caller's stack, so no code after a call to
/// spawn() ever has to ask which process it is in.  It leaves through _exit():
/// the parent's atexit handlers and stdio buffers are not the child's to run.
/// This is the only fork() in the project.
template <std::invocable Body>
    requires std::same_as < std::invoke_result_t<Body>,
int > [[nodiscard]] ChildProcess spawn(Body&& body) {
    UniqueFd room = room_for_handle();
    const pid_t pid = check(::fork(), "fork worker");
    room = {};
    if (pid != 0) {
        try {
            return ChildProcess{pid};
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
