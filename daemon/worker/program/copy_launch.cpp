#include "daemon/worker/program/copy_launch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "common/base/sys_error.hpp"
#include "common/base/text_pointers.hpp"
#include "common/base/unique_fd.hpp"
#include "common/process/spawn.hpp"
#include "daemon/worker/program/copy_sockets.hpp"
#include "daemon/worker/program/program_launch.hpp"

namespace preforkd {

namespace {

// --- In the child ---

void take_ordinary_signals() {
    for (int signo = 1; signo < NSIG; ++signo) ::signal(signo, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    check(::sigprocmask(SIG_SETMASK, &none, nullptr), "unblock signals");
}

/// `failure`: stays open until the exec.  Returns where that is then.
int place_descriptors(const CopyStart& copy, int failure) {
    // Beyond all places first: a socket may stand where another has to be.
    const int behind = std::max(first_copy_socket + static_cast<int>(copy.sockets.size()), copy.ready_place + 1);
    const auto aside = [behind](int fd) {
        return check(::fcntl(fd, F_DUPFD_CLOEXEC, behind), "make space for a descriptor");
    };
    std::vector<int> sockets;
    for (const int socket : copy.sockets) sockets.push_back(aside(socket));
    failure = aside(failure);
    const int ready = copy.ready >= 0 ? aside(copy.ready) : -1;
    for (const int standard : {STDOUT_FILENO, STDERR_FILENO})
        check(::dup2(copy.output, standard), "redirect the program's output");
    check(::close_range(first_copy_socket, ~0U, CLOSE_RANGE_CLOEXEC), "keep descriptors from the program");
    if (copy.pass == PassStyle::Fd0)
        check(::dup2(sockets.front(), STDIN_FILENO), "pass a socket");
    else
        for (std::size_t index = 0; index < sockets.size(); ++index)
            check(::dup2(sockets[index], first_copy_socket + static_cast<int>(index)), "pass a socket");
    if (ready >= 0) check(::dup2(ready, copy.ready_place), "pass what tells of readiness");
    return failure;
}

void execute(const CopyStart& copy) {
    std::vector<std::string> arguments = copy.arguments;
    std::vector<std::string> environment = copy.environment;
    if (copy.pass == PassStyle::Listen) environment.push_back(fmt::format("LISTEN_PID={}", ::getpid()));
    if (std::ranges::any_of(environment, [](const std::string& each) { return each.starts_with("WATCHDOG_USEC="); }))
        environment.push_back(fmt::format("WATCHDOG_PID={}", ::getpid()));
    ::execve(copy.file.c_str(), pointers_to(arguments).data(), pointers_to(environment).data());
}

int become_copy(const CopyStart& copy, pid_t parent, int failure) {
    try {
        check(::setpgid(0, 0), "make a process group");
        check(::prctl(PR_SET_PDEATHSIG, copy.stop_signal, 0, 0, 0), "ask for the end of the parent");
        if (::getppid() != parent) return 1;  // it died before that could be a signal
        failure = place_descriptors(copy, failure);
        check(::setrlimit(RLIMIT_NOFILE, &copy.descriptor_limit), "restore RLIMIT_NOFILE for a program");
        take_ordinary_signals();
        execute(copy);
    } catch (const std::system_error& error) { errno = error.code().value(); }
    const int error = errno;
    while (::write(failure, &error, sizeof error) == -1 && errno == EINTR) continue;
    return 1;
}

// --- In the worker ---

/// 0 once the program runs, or why it does not.
int wait_for_exec(const UniqueFd& failure) {
    int error = 0;
    ssize_t size;
    do size = ::read(failure.get(), &error, sizeof error);
    while (size == -1 && errno == EINTR);
    return size == sizeof error ? error : 0;
}

}  // namespace

ChildProcess start_copy(const CopyStart& copy) {
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC), "make a pipe for a program's start");
    const UniqueFd reader{ends[0]};
    UniqueFd writer{ends[1]};
    ChildProcess child = spawn([&, parent = ::getpid()] { return become_copy(copy, parent, writer.get()); },
                               ChildProcess::Handle::Later);
    writer = {};
    if (const int error = wait_for_exec(reader); error != 0) {
        ::waitpid(child.pid(), nullptr, 0);
        errno = error;
        throw_errno(attempt_to_start(copy.file, error));
    }
    return child;
}

}  // namespace preforkd
