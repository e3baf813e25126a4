#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "common/base/unique_fd.hpp"
#include "common/process/child_process.hpp"

namespace preforkd {

/// A file in memory of so many bytes, for good: what code that is not trusted writes there takes no more memory.
[[nodiscard]] UniqueFd make_bounded_file(const char* name, std::size_t bytes);

/// A function that may block for ever, called in a child of its own: open(2), stat(2) and read(2) of a path whose file
/// server is dead block whatever flags they are given, and would keep a master from its workers and its signals.
///
/// Who has begun it goes on, and asks over() when a child of its has ended or deadline() has come.
class ChildCall {
public:
    /// Notes what is tried next, such as `--config /etc/x`, to be named if it takes too long.
    using Attempt = std::function<void(std::string_view)>;
    /// What it returns or throws is result()'s.
    using Function = std::function<std::string(const Attempt&)>;

    /// Zero `patience` means for ever.  The function keeps no descriptor but the standard ones and the log; with
    /// `printed`, none of these either: what it prints goes there.  `kept` (-1: none) it keeps, too.  Throws
    /// std::system_error when no child can be made.
    ChildCall(const Function& function, std::chrono::milliseconds patience, std::optional<int> printed = {},
              int kept = -1);

    /// Collects the child, if `pid` is it; it has ended.
    bool reap(pid_t pid);
    /// Gives up once the time is over.
    void mind_the_time(Clock::time_point now);
    [[nodiscard]] Deadline deadline() const { return over() ? Deadline{} : deadline_; }

    /// Kills the child, and is over: one that cannot be killed is not waited for.
    void give_up();
    [[nodiscard]] bool over() const noexcept { return end_ || given_up_; }

    /// Where nothing else can go on: until it is over, or `interrupt` (-1: nothing) is readable; false then.
    [[nodiscard]] bool wait(int interrupt = -1);

    [[nodiscard]] bool given_up() const noexcept { return given_up_; }
    /// Once it is over: whether the function has returned or thrown.  Neither this nor result() believes that the
    /// answer is one: code that the child ran may have written anything there.
    [[nodiscard]] bool answered() const;
    [[nodiscard]] const std::optional<ExitReport>& end() const noexcept { return end_; }

    /// What the function has returned.  Throws what it threw, as OperatorError if it was one and otherwise as
    /// std::runtime_error, and OperatorError when it did not return: with what it tried last.  Only when over().
    [[nodiscard]] std::string result() const;

private:
    std::chrono::milliseconds patience_;
    Deadline deadline_;
    UniqueFd answer_;  ///< a file in memory: of any length, and nobody has to read while it is written
    std::optional<ChildProcess> child_{};
    std::optional<ExitReport> end_{};
    bool given_up_ = false;
};

}  // namespace preforkd
