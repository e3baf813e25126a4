#pragma once
// What handlers print: descriptor 1 of a worker as a pipe, whose lines become lines of the log.
#include <chrono>
#include <cstddef>
#include <string_view>
#include <utility>

#include "common/base/unique_fd.hpp"

namespace preforkd {

/// `writer` becomes a worker's descriptor 1 and blocks.  `reader` does not; the master keeps a copy, so that what was
/// printed just before a worker died is not lost with it.
struct OutputPipe {
    UniqueFd reader{};
    UniqueFd writer{};
};

/// Both empty where standard output is a terminal, which stays as it is.  Throws std::system_error.
[[nodiscard]] OutputPipe open_output_pipe();

/// From now on a line that is printed leaves the process with its end.
void line_buffer_standard_output() noexcept;

/// Writes what was printed without the end of a line, also what std::cout holds after sync_with_stdio(false).  False:
/// another thread is printing, and would be waited for.
bool flush_standard_output() noexcept;

/// How long the end of a line that was begun is waited for.
inline constexpr std::chrono::milliseconds patience_with_a_line{20};

/// Reads such a pipe, and logs what it holds, a line each as `stdout: LINE` with level info: escaped and cut like any
/// other text of somebody else's.  Empty lines are left out; a longer one than `limit_bytes` comes in pieces.
class PrintedLines {
public:
    static constexpr std::size_t limit_bytes = 1536;  // a line of the log has it twice: in its sentence and as a field

    /// `worker`: whose lines they are, if not this process's.
    explicit PrintedLines(UniqueFd reader, int worker = 0) noexcept : pipe_{std::move(reader)}, worker_{worker} {}

    [[nodiscard]] int fd() const noexcept { return pipe_.get(); }

    enum class Left {
        Nothing,
        More,        ///< perhaps
        Unfinished,  ///< a line without its end, which may come yet: it stays in the pipe, lest a crash lose it
        Ended,       ///< nobody can print any more
    };
    /// Logs at most `limit_bytes`.  Allocates nothing.
    Left log_lines() noexcept;

    /// Logs all that is there now, also a line without its end.  Somebody may go on printing.
    void log_rest() noexcept;

private:
    [[nodiscard]] bool open_copy() noexcept;
    std::size_t log_whole_lines(std::string_view text) const noexcept;
    void log_line(std::string_view line) const noexcept;

    UniqueFd pipe_;
    OutputPipe copy_{};  ///< for a look at what it holds, see tee(2); made on first use
    int worker_;
};

}  // namespace preforkd
