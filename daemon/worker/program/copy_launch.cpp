#include "daemon/worker/program/copy_launch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/sys_error.hpp"
#include "common/base/text_pointers.hpp"
#include "common/process/sandbox.hpp"
#include "daemon/worker/program/copy_sockets.hpp"
#include "daemon/worker/program/program_fork.hpp"

namespace preforkd {

namespace {

// --- In the child ---

/// `failure`: stays open until the exec, and is moved.
void place_descriptors(const CopyStart& copy, int& failure) {
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
}

void execute(const CopyStart& copy) {
    std::vector<std::string> arguments = copy.arguments;
    std::vector<std::string> environment = copy.environment;
    if (copy.pass == PassStyle::Listen) environment.push_back(fmt::format("LISTEN_PID={}", ::getpid()));
    if (std::ranges::any_of(environment, [](const std::string& each) { return each.starts_with("WATCHDOG_USEC="); }))
        environment.push_back(fmt::format("WATCHDOG_PID={}", ::getpid()));
    ::execve(copy.file.c_str(), pointers_to(arguments).data(), pointers_to(environment).data());
}

void become_copy(const CopyStart& copy, pid_t parent, int& failure) {
    check(::setpgid(0, 0), "make a process group");
    place_descriptors(copy, failure);
    check(::setrlimit(RLIMIT_NOFILE, &copy.descriptor_limit), "restore RLIMIT_NOFILE for a program");
    take_ordinary_signals();
    if (copy.change != nullptr) {
        let_others_open(STDERR_FILENO);
        copy.change->make();
    }
    // Who becomes another user has lost it.
    check(::prctl(PR_SET_PDEATHSIG, copy.stop_signal, 0, 0, 0), "ask for the end of the parent");
    if (::getppid() != parent) ::_exit(1);  // it died before that could be a signal
    copy.sandbox.put_on();
    execute(copy);
}

}  // namespace

ChildProcess start_copy(const CopyStart& copy) {
    return start_by_fork(copy.file, [&, parent = ::getpid()](int& failure) { become_copy(copy, parent, failure); });
}

}  // namespace preforkd
