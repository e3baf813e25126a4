#include "common/log/log_pipe.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include "common/base/sys_error.hpp"
#include "common/log/harmless_lines.hpp"
#include "common/log/log_output.hpp"
#include "common/log/whole_lines.hpp"

namespace preforkd {

namespace {

constexpr int wanted_bytes = 1 << 20;
constexpr int least_bytes = 1 << 16;

constexpr timespec collecting{.tv_sec = 0, .tv_nsec = 1'000'000};

volatile std::sig_atomic_t asked_to_leave = 0;

void on_stop_writing(int) { asked_to_leave = 1; }

/// From now on only what waits with the mask that is returned is interrupted.
sigset_t take_stop_signal() {
    sigset_t all;
    ::sigfillset(&all);
    check(::sigprocmask(SIG_SETMASK, &all, nullptr), "block signals");
    struct sigaction action {};
    action.sa_handler = on_stop_writing;
    check(::sigaction(stop_writing_signal, &action, nullptr), "handle a signal");
    ::sigdelset(&all, stop_writing_signal);
    return all;
}

/// Workers write no byte that a terminal obeys; one that was taken over, or what a handler prints, may.
void log_harmless_lines(std::string_view lines) {
    if (plainly_harmless_bytes(lines) == lines.size()) return log_whole_lines(lines);
    std::string harmless;
    while (!lines.empty()) {
        // Some at a time: they may become four times as long.
        const std::size_t end = lines.find('\n', std::min(lines.size(), WholeLines::limit_bytes) - 1);
        const std::string_view some = lines.substr(0, end == lines.npos ? end : end + 1);
        harmless.clear();
        append_harmless(harmless, some);
        log_whole_lines(harmless);
        lines.remove_prefix(some.size());
    }
}

}  // namespace

LogPipe open_log_pipe() {
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC), "make a pipe for the log");
    LogPipe pipe{.reader = UniqueFd{ends[0]}, .writer = UniqueFd{ends[1]}};
    check(::fcntl(pipe.reader.get(), F_SETFL, O_NONBLOCK), "make a pipe non-blocking");
    keep_readers_out(pipe.writer.get());
    for (int bytes = wanted_bytes; bytes > least_bytes; bytes /= 2)
        if (::fcntl(pipe.writer.get(), F_SETPIPE_SZ, bytes) != -1) break;
    return pipe;
}

void keep_readers_out(int pipe) noexcept { (void)::fchmod(pipe, S_IWUSR); }

void write_log_of(int reader) {
    const sigset_t while_waiting = take_stop_signal();
    const auto pipe_bytes = static_cast<std::size_t>(std::max(::fcntl(reader, F_GETPIPE_SZ), least_bytes));
    // A read that empties the pipe ends with a whole line: such a write is one piece, and so is such a read.
    WholeLines lines{pipe_bytes};
    while (asked_to_leave == 0) {
        ::pollfd ready{.fd = reader, .events = POLLIN, .revents = 0};
        if (::ppoll(&ready, 1, nullptr, &while_waiting) == -1) continue;
        const std::span<char> space = lines.space();
        const ssize_t got = ::read(reader, space.data(), space.size());
        // Before Linux 6.15 a writer can leave an empty packet, which reads like the end.  Source: O_DIRECT, pipe(7).
        if (got == 0 && (ready.revents & POLLHUP) != 0) break;
        if (got <= 0) {
            if (got == 0 || errno != EAGAIN) (void)::ppoll(nullptr, 0, &collecting, &while_waiting);
            continue;
        }
        log_harmless_lines(lines.take(static_cast<std::size_t>(got)));
        // Who logs meanwhile wakes nobody up, which would cost him more than the line.
        if (static_cast<std::size_t>(got) < pipe_bytes / 4) (void)::ppoll(nullptr, 0, &collecting, &while_waiting);
    }
    log_harmless_lines(lines.end());
}

}  // namespace preforkd
