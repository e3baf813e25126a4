#include "daemon/worker/program/program_fork.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <string_view>
#include <system_error>
#include <utility>

#include "common/base/sys_error.hpp"
#include "common/process/spawn.hpp"
#include "daemon/worker/program/program_launch.hpp"

namespace preforkd {

namespace {

/// What `error` was thrown with, before the kernel's word for its number.
std::string attempt_of(const std::system_error& error) {
    std::string_view text = error.what();
    const std::string reason = ": " + error.code().message();
    if (text.ends_with(reason)) text.remove_suffix(reason.size());
    return std::string{text};
}

// --- In the child ---

/// In one piece, since no pipe is that full.
void tell(int pipe, const StartFailure& failure) noexcept {
    std::array<char, 4096> bytes;  // PIPE_BUF.  Source: pipe(7)
    std::memcpy(bytes.data(), &failure.error, sizeof failure.error);
    const std::size_t length = failure.attempt.copy(bytes.data() + sizeof failure.error, bytes.size() - sizeof(int));
    while (::write(pipe, bytes.data(), sizeof failure.error + length) == -1 && errno == EINTR) continue;
}

int become(const BecomeProgram& body, int failure) {
    try {
        body(failure);
        tell(failure, {.error = errno});
    } catch (const std::system_error& error) {
        tell(failure, {.error = error.code().value(), .attempt = attempt_of(error)});
    } catch (const std::bad_alloc&) {  // which a limit of its memory may be about
        tell(failure, {.error = ENOMEM, .attempt = "prepare its process"});
    } catch (const std::exception& error) { tell(failure, {.error = EPERM, .attempt = error.what()}); }
    return 1;
}

// --- In the parent ---

std::optional<StartFailure> wait_for_exec(const UniqueFd& pipe) {
    std::array<char, 4096> bytes;
    ssize_t size;
    do size = ::read(pipe.get(), bytes.data(), bytes.size());
    while (size == -1 && errno == EINTR);
    StartFailure failure;
    if (size < static_cast<ssize_t>(sizeof failure.error)) return std::nullopt;
    std::memcpy(&failure.error, bytes.data(), sizeof failure.error);
    failure.attempt.assign(bytes.data() + sizeof failure.error, static_cast<std::size_t>(size) - sizeof failure.error);
    return failure;
}

}  // namespace

StartedFork fork_program(const BecomeProgram& body) {
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC), "make a pipe for a program's start");
    const UniqueFd reader{ends[0]};
    UniqueFd writer{ends[1]};
    StartedFork started{.child = spawn([&] { return become(body, writer.get()); }, ChildProcess::Handle::Later)};
    writer = {};
    started.failure = wait_for_exec(reader);
    return started;
}

ChildProcess start_by_fork(const std::string& file, const BecomeProgram& body) {
    StartedFork started = fork_program(body);
    if (!started.failure) return std::move(started.child);
    ::waitpid(started.child.pid(), nullptr, 0);
    const auto& [error, attempt] = *started.failure;
    errno = error;
    throw_errno(attempt.empty() ? attempt_to_start(file, error) : "start " + file + ": " + attempt);
}

void let_others_open(int fd) noexcept {
    constexpr mode_t write_by_all = 0622;
    (void)::fchmod(fd, write_by_all);
}

void take_ordinary_signals() {
    for (int signo = 1; signo < NSIG; ++signo) ::signal(signo, SIG_DFL);
    sigset_t none;
    ::sigemptyset(&none);
    check(::sigprocmask(SIG_SETMASK, &none, nullptr), "unblock signals");
}

}  // namespace preforkd
