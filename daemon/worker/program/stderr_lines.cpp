#include "daemon/worker/program/stderr_lines.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/base/sys_error.hpp"

namespace preforkd {

namespace {
constexpr int most_reads_at_end = 64;  // more than a pipe holds; somebody else may go on writing
}

StderrPipe open_stderr_pipe() {
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "make a pipe for a program's standard error");
    StderrPipe pipe{.reader = UniqueFd{ends[0]}, .writer = UniqueFd{ends[1]}};
    check(::fcntl(pipe.writer.get(), F_SETFL, 0), "make a pipe blocking");
    return pipe;
}

StderrLines::StderrLines(Reactor& reactor, UniqueFd pipe, Sink sink)
    : reactor_{reactor}, pipe_{std::move(pipe)}, sink_{std::move(sink)} {
    // One read for each wake-up: a program that floods its standard error must not keep the worker from the others.
    reactor_.watch(pipe_.get(), [this] {
        if (read_some() == Outcome::Ended) close();
    });
}

StderrLines::~StderrLines() {
    if (pipe_) reactor_.forget(pipe_.get());
}

void StderrLines::finish() {
    for (int reads = 0; pipe_ && reads < most_reads_at_end && read_some() == Outcome::Full; ++reads) {}
    close();
}

StderrLines::Outcome StderrLines::read_some() {
    std::array<char, 4096> chunk;
    const ssize_t got = ::read(pipe_.get(), chunk.data(), chunk.size());
    if (got == -1) return errno == EAGAIN || errno == EINTR ? Outcome::Nothing : Outcome::Ended;
    if (got == 0) return Outcome::Ended;
    take({chunk.data(), static_cast<std::size_t>(got)});
    return Outcome::Full;
}

void StderrLines::take(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto end = bytes.find('\n');
        const std::size_t space = limit_bytes - partial_.size();
        const std::size_t taken = std::min({end, space, bytes.size()});
        partial_ += bytes.substr(0, taken);
        bytes.remove_prefix(taken);
        const bool line_ends = !bytes.empty() && bytes.front() == '\n';
        if (line_ends) bytes.remove_prefix(1);
        if (line_ends || partial_.size() == limit_bytes) give_rest();
    }
}

void StderrLines::give_rest() {
    if (partial_.ends_with('\r')) partial_.pop_back();
    if (!partial_.empty()) sink_(partial_);
    partial_.clear();
}

void StderrLines::close() {
    if (!pipe_) return;
    reactor_.forget(pipe_.get());
    pipe_ = {};
    give_rest();
}

}  // namespace preforkd
