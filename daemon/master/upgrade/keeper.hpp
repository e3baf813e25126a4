#pragma once
// The process between the master and the rehearsal of a new image.
#include <functional>
#include <optional>
#include <string>

#include "common/base/clock.hpp"
#include "common/process/child_process.hpp"

namespace preforkd {

/// What is no preforkd may well end in good order.
[[nodiscard]] std::string without_verdict(const ExitReport& end);

/// In the child that keeps the rehearsal and all that it starts together.  `become_new` returns only when it fails.
/// Returns the exit code.
[[nodiscard]] int keep_rehearsal(pid_t master, int report, const std::function<int()>& become_new);

/// The master's handle on it.  An image is somebody's program, and may stop its keeper, too.
class Keeper {
public:
    explicit Keeper(ChildProcess child) : child_{std::move(child)} {}

    [[nodiscard]] pid_t pid() const noexcept { return child_.pid(); }
    [[nodiscard]] std::optional<ExitReport> try_reap() const { return child_.try_reap(); }

    /// Has it end what it keeps, and then itself.  If that takes longer than it should, maintain() does it by force.
    void end(Clock::time_point now);

    /// Kills what it keeps first: as long as it is there, whoever loses a parent is its child.
    void maintain(Clock::time_point now);
    [[nodiscard]] Deadline deadline() const noexcept { return deadline_; }

    void kill();  ///< at once, and whatever is seen of what it keeps

private:
    ChildProcess child_;
    Deadline deadline_{};    ///< when maintain() has something to do
    Deadline give_up_at_{};  ///< ends by force until then
};

}  // namespace preforkd
