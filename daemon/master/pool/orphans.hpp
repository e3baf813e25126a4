#pragma once
// What a worker that died has left running.
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <utility>
#include <vector>

#include "common/base/clock.hpp"
#include "daemon/master/pool/handover.hpp"

namespace preforkd {

/// Ends the programs and the children of workers that were killed: asks them (SIGTERM), and kills them 2 s later.
///
/// At the end of the daemon what they have put into the background goes the same way.
///
/// Orphans come to this process, which is their subreaper.  What a worker forked is in the worker's group; programs
/// lead groups of their own in the worker's session, whose number is nobody else's while it has members.  What a
/// program has put into the background leads no group, or has a session of its own (setsid, daemon(3)), in which
/// nothing tells whose it was: it is left alone until then.
class Orphans {
public:
    /// Whether a pid is a living worker's, or another child's of the master's own.
    using IsOurs = std::function<bool(pid_t)>;

    /// `worker` has died and is reaped.  `at_once`: without asking.
    void end(pid_t worker, bool at_once, Clock::time_point now);

    /// There are no workers any more: ends all children that are not of this process's session, which is where whoever
    /// started or embeds us has its own.  To be called again: what is ended may leave children to us.
    void end_all(const IsOurs& is_ours, Clock::time_point now);

    /// Forgets those that have gone, and kills those that were asked long enough ago.
    void maintain(const IsOurs& is_ours, Clock::time_point now);

    /// Those that were asked and are not known to have gone; and how another image takes them over.
    [[nodiscard]] const std::vector<HandedGroup>& asked() const noexcept { return asked_; }
    void adopt(std::vector<HandedGroup> asked) { asked_ = std::move(asked); }

    [[nodiscard]] bool none() const noexcept { return asked_.empty(); }
    [[nodiscard]] Deadline deadline() const noexcept { return asked_.empty() ? Deadline{} : asked_.front().kill_at; }

private:
    std::vector<HandedGroup> asked_{};  ///< oldest first
    Deadline give_up_at_{};             ///< of end_all(): what cannot be killed is not waited for
};

}  // namespace preforkd
