#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/clock.hpp"
#include "common/log/log_pipe.hpp"
#include "common/process/child_process.hpp"
#include "daemon/master/pool/handover.hpp"
#include "daemon/master/pool/respawn_policy.hpp"

namespace preforkd {

/// The pipe into which workers log where the log is a file, and the process that writes what comes out of it.
///
/// Where the log goes elsewhere, another process writes into the new file, and the one before leaves; workers need not
/// know.  The master writes its own lines itself: none of them is lost with the process or in the pipe.  The process
/// outlives the master until the last who holds the pipe has ended.
class LogWriter {
public:
    LogWriter();
    ~LogWriter();
    LogWriter(const LogWriter&) = delete;
    LogWriter& operator=(const LogWriter&) = delete;

    /// Before a worker is forked: follows the log to where it goes now.  A process that cannot be had is tried for
    /// again, and lines wait in the pipe.  Throws std::system_error where there are no descriptors for a pipe.
    void follow(Clock::time_point now);
    /// For a worker, which may log nowhere else; -1: it may log where the master does.
    [[nodiscard]] int pipe() const noexcept { return wanted_ ? pipe_.writer.get() : -1; }

    /// The same, at any time.  `old_workers`: there may be some that were forked when the log was a file.
    void maintain(bool old_workers, Clock::time_point now) noexcept;
    /// When a process will be tried for again.
    [[nodiscard]] Deadline deadline() const noexcept { return is_incomplete() ? respawn_.not_before : Deadline{}; }

    /// Collects the child `pid`, which has ended; false if it is none of these.
    bool reap(pid_t pid, Clock::time_point now);
    [[nodiscard]] bool is_one(pid_t pid) const noexcept;

    /// Once there are no workers any more: waits until all their lines are written, 2 s at most.
    void finish();

    /// Lines that could not be written.
    [[nodiscard]] std::uint64_t dropped_lines() const noexcept;

    // To another image, and from one: which puts a process of its own in the place of this one's.
    [[nodiscard]] HandedLog describe() const;
    void adopt(const HandedLog& handed);

private:
    [[nodiscard]] bool is_incomplete() const noexcept { return wanted_ && (!process_ || outdated_); }
    void start(Clock::time_point now);
    int write_lines() const;

    LogPipe pipe_{};
    std::optional<ChildProcess> process_{};
    bool wanted_ = false;       ///< the log is a file
    unsigned openings_ = 0;     ///< of the log, when that was found out
    bool outdated_ = false;     ///< the process writes where the log went before
    bool failed_ = false;       ///< no process could be had the last time
    std::vector<pid_t> old_{};  ///< processes that have been asked to leave
    Clock::time_point started_{};
    Respawn respawn_{};
    struct Losses;
    Losses* losses_;  ///< shared with the processes, and with nobody else
};

}  // namespace preforkd
