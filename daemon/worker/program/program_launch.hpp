#pragma once
// Starting a program for a connection.
#include <spawn.h>
#include <sys/resource.h>

#include <string>

#include "common/process/child_process.hpp"
#include "common/process/process_change.hpp"

namespace preforkd {

/// The file that execvp(3) would run for `name`, as an absolute path.  Throws OperatorError (78) with one sentence if
/// there is none, or none that this process may execute.
[[nodiscard]] std::string find_program(const std::string& name);

/// What an exec was to do that has failed with `error`, and what that may mean; for the message.
[[nodiscard]] std::string attempt_to_start(const std::string& file, int error);

/// What to start, and with which descriptors; all borrowed.
struct ProgramStart {
    const std::string& file;
    char* const* arguments;
    char* const* environment;
    int client;                             ///< becomes 0 and 1
    int standard_error;                     ///< becomes 2
    const ProcessChange* change = nullptr;  ///< nullptr: it runs as this process
};

/// Starts programs as a shell would: no signal blocked or ignored, RLIMIT_NOFILE as the daemon was given it, a process
/// group of their own.  Every other descriptor of this process must be close-on-exec.
///
/// posix_spawn(3) borrows the worker's memory until the exec instead of copying its page tables.  It cannot change user
/// or limits, so a program with a change is forked.
class ProgramLauncher {
public:
    explicit ProgramLauncher(const rlimit& original_descriptor_limit);
    ~ProgramLauncher() { ::posix_spawnattr_destroy(&attributes_); }
    ProgramLauncher(const ProgramLauncher&) = delete;
    ProgramLauncher& operator=(const ProgramLauncher&) = delete;

    /// A child without a handle yet.  Throws std::system_error naming the program and why, also when only its exec
    /// fails.
    [[nodiscard]] ChildProcess start(const ProgramStart& program) const;

private:
    [[nodiscard]] ChildProcess start_changed(const ProgramStart& program) const;

    posix_spawnattr_t attributes_{};
    rlimit original_;
    rlimit own_{};
};

}  // namespace preforkd
