#include "daemon/worker/program/program_launch.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "common/base/operator_error.hpp"
#include "common/base/sys_error.hpp"
#include "daemon/worker/program/program_fork.hpp"

namespace preforkd {

namespace {

/// posix_spawn(3) returns its error instead of setting errno.
void check_spawn(int error, const std::string& attempt) {
    if (error == 0) return;
    errno = error;
    throw_errno(attempt);
}

/// 0, or why `file` cannot be executed.
int why_not_executable(const std::string& file) noexcept {
    struct ::stat status {};
    if (::stat(file.c_str(), &status) == -1) return errno;
    if (S_ISDIR(status.st_mode)) return EISDIR;
    if (!S_ISREG(status.st_mode)) return EACCES;
    return ::faccessat(AT_FDCWD, file.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

[[noreturn]] void refuse(const std::string& name, int error) {
    throw OperatorError{ExitCode::Configuration, name + ": " + std::strerror(error) +
                                                     "; expected a program that exists and that this user may execute"};
}

class FileActions {
public:
    FileActions() { check_spawn(::posix_spawn_file_actions_init(&actions_), "prepare a program's descriptors"); }
    ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
    FileActions(const FileActions&) = delete;
    FileActions& operator=(const FileActions&) = delete;

    void copy(int from, int to) {
        check_spawn(::posix_spawn_file_actions_adddup2(&actions_, from, to), "prepare a program's descriptors");
    }
    [[nodiscard]] const posix_spawn_file_actions_t* get() const noexcept { return &actions_; }

private:
    posix_spawn_file_actions_t actions_{};
};

/// The soft limit is the worker's own again at the end.  Cheaper than prlimit(2) on the child, which would race with
/// its exec; nobody else opens descriptors here meanwhile.
class LimitForChild {
public:
    LimitForChild(const rlimit& for_child, const rlimit& own)
        : own_{own}, differs_{for_child.rlim_cur != own.rlim_cur} {
        if (differs_) check(::setrlimit(RLIMIT_NOFILE, &for_child), "restore RLIMIT_NOFILE for a program");
    }
    ~LimitForChild() {
        if (differs_) ::setrlimit(RLIMIT_NOFILE, &own_);
    }
    LimitForChild(const LimitForChild&) = delete;
    LimitForChild& operator=(const LimitForChild&) = delete;

private:
    const rlimit& own_;
    bool differs_;
};

}  // namespace

std::string find_program(const std::string& name) {
    if (name.find('/') != name.npos) {
        // As it was typed: --chdir comes later.
        std::string file = std::filesystem::absolute(name).native();
        if (const int error = why_not_executable(file)) refuse(name, error);
        return file;
    }
    const char* path = std::getenv("PATH");
    std::string_view directories = path != nullptr ? path : "/bin:/usr/bin";  // as execvp(3)
    int best_error = ENOENT;
    for (;;) {
        const auto end = directories.find(':');
        const std::string directory{directories.substr(0, end)};
        const std::string file = std::filesystem::absolute(directory.empty() ? "." : directory).native() + '/' + name;
        const int error = why_not_executable(file);
        if (error == 0) return file;
        if (error == EACCES) best_error = error;
        if (end == directories.npos) break;
        directories.remove_prefix(end + 1);
    }
    if (best_error != ENOENT) refuse(name, best_error);
    throw OperatorError{ExitCode::Configuration, name + ": not found in PATH; give the program's whole path"};
}

ProgramLauncher::ProgramLauncher(const rlimit& original_descriptor_limit) : original_{original_descriptor_limit} {
    check(::getrlimit(RLIMIT_NOFILE, &own_), "read RLIMIT_NOFILE");
    const std::string attempt = "prepare a program's start";
    check_spawn(::posix_spawnattr_init(&attributes_), attempt);
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    std::memset(&all, 0xff, sizeof all);  // sigfillset(3) leaves out 32 and 33, which would then be ignored
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    constexpr int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP;
    check_spawn(::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags)), attempt);
}

std::string attempt_to_start(const std::string& file, int error) {
    return "start " + file +
           (error == ENOEXEC  ? " (a script needs #! and its interpreter in its first line)"
            : error == ENOENT ? " (it, or the interpreter in its first line, is gone)"
                              : "");
}

ChildProcess ProgramLauncher::start(const ProgramStart& program) const {
    if (program.change != nullptr) return start_changed(program);
    FileActions actions;
    actions.copy(program.client, STDIN_FILENO);
    actions.copy(program.client, STDOUT_FILENO);
    actions.copy(program.standard_error, STDERR_FILENO);
    pid_t pid = 0;
    int error = 0;
    {
        const LimitForChild limit{original_, own_};
        error = ::posix_spawn(&pid, program.file.c_str(), actions.get(), &attributes_, program.arguments,
                              program.environment);
    }
    check_spawn(error, attempt_to_start(program.file, error));
    return ChildProcess{pid, ChildProcess::Handle::Later};
}

ChildProcess ProgramLauncher::start_changed(const ProgramStart& program) const {
    return start_by_fork(program.file, [&](int&) {
        check(::setpgid(0, 0), "make a process group");
        for (const int standard : {STDIN_FILENO, STDOUT_FILENO})
            check(::dup2(program.client, standard), "pass a program its client");
        check(::dup2(program.standard_error, STDERR_FILENO), "redirect a program's standard error");
        check(::setrlimit(RLIMIT_NOFILE, &original_), "restore RLIMIT_NOFILE for a program");
        let_others_open(STDERR_FILENO);
        take_ordinary_signals();
        program.change->make();
        ::execve(program.file.c_str(), program.arguments, program.environment);
    });
}

}  // namespace preforkd
