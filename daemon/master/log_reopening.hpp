#pragma once
#include <sys/types.h>

#include <optional>

#include "common/log/log_output.hpp"
#include "common/process/child_call.hpp"

namespace preforkd {

/// What USR1 asks of the master.  A child opens the log file first: where that does not answer, the old one stays.
class LogReopening {
public:
    void ask(const LogSettings& settings, std::chrono::milliseconds patience);

    void maintain(Clock::time_point now);
    [[nodiscard]] Deadline deadline() const { return trial_ ? trial_->deadline() : Deadline{}; }

    /// Collects the child, if `pid` is it.
    bool reap(pid_t pid) { return trial_ && trial_->reap(pid); }

private:
    std::optional<LogSettings> asked_{};
    std::optional<ChildCall> trial_{};
};

}  // namespace preforkd
