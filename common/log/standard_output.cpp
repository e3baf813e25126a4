#include "common/log/standard_output.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <streambuf>

#include "common/base/sys_error.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {
/// What std::cout has while it holds nothing itself: before any sync_with_stdio(false).
const std::streambuf* const unbuffered_cout = std::cout.rdbuf();

bool flush_what_is_held() noexcept {
    if (::ftrylockfile(stdout) != 0) return false;
    (void)std::cout.rdbuf()->pubsync();  // flush() would throw where a handler has asked for that
    (void)std::fflush(stdout);
    ::funlockfile(stdout);
    return true;
}

}  // namespace

OutputPipe open_output_pipe() {
    if (::isatty(STDOUT_FILENO) == 1) return {};
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC), "make a pipe for what a worker prints");
    OutputPipe pipe{.reader = UniqueFd{ends[0]}, .writer = UniqueFd{ends[1]}};
    check(::fcntl(pipe.reader.get(), F_SETFL, O_NONBLOCK), "make a pipe non-blocking");
    return pipe;
}

void line_buffer_standard_output() noexcept { (void)std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ); }

bool flush_standard_output() noexcept {
    // A forked child that has printed nothing shall map no page for this: not even __fpending(3) is called.
    if (stdout->_IO_write_ptr == stdout->_IO_write_base && std::cout.rdbuf() == unbuffered_cout) return true;
    return flush_what_is_held();
}

/// It may fail where tee(2) is not known or descriptors are short: then lines come as they are read.
bool PrintedLines::open_copy() noexcept {
    if (copy_.reader) return true;
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) == -1) return false;
    copy_ = {.reader = UniqueFd{ends[0]}, .writer = UniqueFd{ends[1]}};
    return true;
}

PrintedLines::Left PrintedLines::log_lines() noexcept {
    std::array<char, limit_bytes> text;
    ssize_t seen = open_copy() ? ::tee(pipe_.get(), copy_.writer.get(), text.size(), SPLICE_F_NONBLOCK) : -1;
    if (seen == -1 && (errno == EAGAIN || errno == EINTR)) return Left::Nothing;
    if (seen == -1) {
        log_rest();
        return Left::Nothing;
    }
    if (seen == 0) return Left::Ended;
    seen = ::read(copy_.reader.get(), text.data(), text.size());
    if (seen <= 0) return Left::Nothing;

    const std::string_view whole{text.data(), static_cast<std::size_t>(seen)};
    std::size_t size = log_whole_lines(whole);
    if (size == 0 && whole.size() == text.size()) log_line(whole.substr(0, size = whole.size()));
    if (size == 0) return Left::Unfinished;
    (void)!::read(pipe_.get(), text.data(), size);  // that much is there: nobody else reads
    return Left::More;
}

void PrintedLines::log_rest() noexcept {
    std::array<char, limit_bytes> text;
    std::size_t held = 0;
    int left = 0;
    if (::ioctl(pipe_.get(), FIONREAD, &left) == -1) return;
    while (left > 0) {
        const auto most = std::min(text.size() - held, static_cast<std::size_t>(left));
        const ssize_t got = ::read(pipe_.get(), text.data() + held, most);
        if (got <= 0) break;
        left -= static_cast<int>(got);
        held += static_cast<std::size_t>(got);
        std::size_t size = log_whole_lines({text.data(), held});
        if (size == 0 && held == text.size()) log_line({text.data(), size = held});
        held -= size;
        std::memmove(text.data(), text.data() + size, held);
    }
    log_line({text.data(), held});
}

/// How many bytes they are, with their ends.
std::size_t PrintedLines::log_whole_lines(std::string_view text) const noexcept {
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string_view::npos; begin = end + 1)
        log_line(text.substr(begin, end - begin));
    return begin;
}

void PrintedLines::log_line(std::string_view line) const noexcept {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || !log_enabled(LogLevel::Info)) return;
    if (worker_ == 0) return log(LogLevel::Info, "stdout: {text}", {{"text", line}});
    log(LogLevel::Info, "stdout: {text}", {{"text", line}, {"worker", std::int64_t{worker_}}});
}

}  // namespace preforkd
