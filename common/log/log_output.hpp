#pragma once
// Where the lines of log.hpp go.  Set up once in the master, inherited by every child.
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/noted_bytes.hpp"
#include "common/log/untold_lines.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

enum class LogFormat {
    Auto,  ///< journal when stderr is the journal's stream, otherwise as log_layout() says
    Text,
    Json,
    Journal,
};

struct LogSettings {
    LogLevel level = LogLevel::Info;
    LogFormat format = LogFormat::Auto;
    std::string file{};  ///< empty: standard error
    friend bool operator==(const LogSettings&, const LogSettings&) = default;
};

/// Where journald receives.
inline constexpr const char* default_journal_socket = "/run/systemd/journal/socket";

/// Opens the output that `settings` ask for.  Until then lines go to standard error as text.  Call it again to reopen
/// the file: threads may log meanwhile.
/// Throws OperatorError when the file or the journal cannot be opened; the old output stays.
void open_log(const LogSettings& settings, const std::string& journal_socket = default_journal_socket);

/// Throws what open_log() would throw for `settings`, as far as that can be known without making a file.
void look_at_log(const LogSettings& settings, const std::string& journal_socket = default_journal_socket);

/// What USR1 asks for: opens the log file again and says so, or why not; then the old one stays, and the service goes
/// on.
void reopen_log(const LogSettings& settings);

[[nodiscard]] bool log_is_open() noexcept;

/// How often open_log() has opened the output: where this has changed, lines may go elsewhere.
[[nodiscard]] unsigned log_openings() noexcept;

/// The descriptor that lines are written to.  Borrowed; its number stays when the output is opened again or replaced.
[[nodiscard]] int log_fd() noexcept;

/// Whether lines go into a file whose descriptor would let whoever has it rewrite what is there, or that may be opened
/// again: a regular file, or a FIFO that --log-file names.  Devices, the journal and other standard errors are none.
[[nodiscard]] bool log_is_file() noexcept;

/// Takes over `fd` (owned from now on) as the output.
void adopt_log_fd(int fd) noexcept;

/// What a worker does where log_is_file(): its lines go into `pipe` (borrowed), which another process writes into the
/// file, see log_pipe.hpp; and what is printed to standard error, where that is a regular file.  Waits for a moment at
/// most, see log_patience_policy.hpp; who prints there waits as for a file.  Throws
/// std::system_error.
void log_into_pipe(int pipe);

/// Prints lines as they are, which other processes have formatted, each with its end.  Those that cannot be written are
/// dropped and counted as log() does it.
void log_whole_lines(std::string_view lines) noexcept;

/// Names the process in every line (`worker` field) from here on; 0 is the master.
/// Children that are forked inherit it; the process id is taken anew by itself.
void set_log_worker(int worker_number) noexcept;

/// Where the last line of level error of this process, and of the children that it forks, is noted beside being
/// printed. Borrowed for good.
void note_errors_in(ErrorNote& note) noexcept;

/// Where this process, and the children that it forks, count the lines that are dropped.  Borrowed for good.
void count_dropped_lines_in(std::atomic<std::uint64_t>& counter) noexcept;

/// Where this process keeps those that no line has told of, for others that write into the same log to tell of.
/// Borrowed for good; children keep theirs there, too.
void keep_untold_lines_in(UntoldLines& lines) noexcept;

/// Lines that were dropped because nobody read them, in this process, so far; not those that are counted elsewhere.
[[nodiscard]] std::uint64_t dropped_log_lines() noexcept;

}  // namespace preforkd
