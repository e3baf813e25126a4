#pragma once
// What a program says on its standard error, line by line.
#include <functional>
#include <string>
#include <string_view>

#include "common/base/unique_fd.hpp"
#include "daemon/worker/loop/reactor.hpp"

namespace preforkd {

struct StderrPipe {
    UniqueFd reader{};  ///< never waits
    UniqueFd writer{};  ///< waits, as programs expect
};

/// Throws std::system_error.
[[nodiscard]] StderrPipe open_stderr_pipe();

/// Reads a pipe and gives away each line without its end.  A longer line than `limit_bytes` comes in pieces; a last
/// line without an end comes when the pipe ends or finish() is called.  Empty lines are left out.
class StderrLines {
public:
    using Sink = std::function<void(std::string_view line)>;
    static constexpr std::size_t limit_bytes = 1536;  // a line of the log has it twice: in its sentence and as a field

    /// `pipe`: its reading end, non-blocking.
    StderrLines(Reactor& reactor, UniqueFd pipe, Sink sink);
    ~StderrLines();
    StderrLines(const StderrLines&) = delete;
    StderrLines& operator=(const StderrLines&) = delete;

    /// The program has ended: takes what is in the pipe, and closes it even if others still hold its other end.
    void finish();

private:
    enum class Outcome { Full, Nothing, Ended };

    [[nodiscard]] Outcome read_some();
    void take(std::string_view bytes);
    void give_rest();
    void close();

    Reactor& reactor_;
    UniqueFd pipe_;
    Sink sink_;
    std::string partial_{};
};

}  // namespace preforkd
