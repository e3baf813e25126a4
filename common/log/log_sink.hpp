#pragma once
// The descriptors that log lines are written to, and the one write that never waits.
#include <string>
#include <string_view>

#include "common/base/unique_fd.hpp"
#include "common/log/log_output.hpp"

namespace preforkd {

/// How to write without waiting for a reader.
enum class LogWay {
    Write,  ///< write(2): a regular file, or an open description of our own that is non-blocking
    Send,   ///< send(2) with MSG_DONTWAIT: a socket
    Ask,    ///< a description that others share and that blocks: the kernel is asked first, see write_log_line()
};

enum class LogOutcome {
    Written,
    Dropped,  ///< nothing was written; errno says why
    Torn,     ///< the beginning was written: the reader is in the middle of a line
};

/// Standard error.  A pipe or a terminal is opened again, so that O_NONBLOCK is ours alone: on the inherited
/// description it would change what the shell and every sibling see (open(2), "file status flags").  A regular file is
/// not: a description of our own would have its own offset, and overwrite what others write.  A closed standard error
/// reads as /dev/null.
[[nodiscard]] UniqueFd open_standard_error_log();

/// `path` at its end, made with mode 0640 if it is not there; may be a FIFO that somebody reads.  Throws OperatorError.
[[nodiscard]] UniqueFd open_file_log(const std::string& path);

/// Throws what open_file_log() would throw, but for a FIFO that nobody reads yet; makes nothing.
void look_at_file_log(const std::string& path);

/// An open description of our own of a pipe's end, for writing, so that nobody who shares the pipe can make us wait.
/// Without /proc a copy of the end, whose description others share.  Throws std::system_error.
[[nodiscard]] UniqueFd open_own_end(int pipe, bool blocks = false);

/// A datagram socket that is connected to journald; empty, with errno, if nobody listens at `path`.
[[nodiscard]] UniqueFd open_journal_log(const std::string& path) noexcept;

/// Whether standard error is the stream that JOURNAL_STREAM names: device and inode must be the same, because a shell
/// may have redirected what it passed on together with the variable.  Source: systemd.exec(5), JOURNAL_STREAM.
[[nodiscard]] bool standard_error_is_journal() noexcept;

/// How lines look.
enum class LogLayout { Text, Terminal, ColouredTerminal, Json, Journal };

/// What `format` means for the output `fd`.  Auto (no journal was found) is JSON, which programs read, unless a person
/// looks on: `fd` is a terminal, or a pipe while this process has a controlling terminal (`preforkd 2>&1 | tee log`;
/// under a supervisor it has none).  Colours only on the terminal itself, where the environment has no NO_COLOR.
/// Source: no-color.org.
[[nodiscard]] LogLayout log_layout(LogFormat format, int fd) noexcept;

[[nodiscard]] LogWay log_way_of(int fd) noexcept;

/// One write(2) or send(2).  Never waits, never raises SIGPIPE on a socket.  How much was written; 0: nothing, errno
/// says why.
[[nodiscard]] std::size_t write_log_bytes(int fd, LogWay way, std::string_view bytes) noexcept;

/// The same for a line.
[[nodiscard]] LogOutcome write_log_line(int fd, LogWay way, std::string_view line) noexcept;

/// What is wrong with the disk, where that is why a line was dropped; empty where its reader is.
[[nodiscard]] std::string_view disk_trouble(int error) noexcept;

/// Why a line was dropped, by its errno.
[[nodiscard]] std::string_view why_dropped(int error) noexcept;

}  // namespace preforkd
