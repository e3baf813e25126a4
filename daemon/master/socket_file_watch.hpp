#pragma once
#include <vector>

#include "common/clock.hpp"
#include "common/listener.hpp"
#include "common/unique_fd.hpp"
#include "daemon/master/control_server.hpp"
#include "daemon/master/event_source.hpp"

namespace preforkd {

/// Its key in the master's EventSource: above every pid.
inline constexpr std::uint64_t socket_files_key = control_key + 1;

/// Notices when a Unix socket that we bound loses its file: removed, renamed or replaced, so that no client finds it.
/// Costs nothing at rest: the kernel tells.  Source: inotify(7); unlink(2) of a watched file is IN_ATTRIB.
class SocketFileWatch {
public:
    /// `events` must outlive it.
    explicit SocketFileWatch(EventSource& events) : events_{events} {}

    /// Watches these listeners instead of those before.
    void follow(const std::vector<Listener>& listeners, Clock::time_point now);

    /// Something happened to a file, or near it: lost() is to be asked at deadline().  Not at once, because who removes
    /// a socket file may be about to put another socket there.
    void hear(Clock::time_point now);
    [[nodiscard]] Deadline deadline() const noexcept { return look_at_; }

    /// Once the deadline has passed: whether a socket has lost its file and can be bound again.  A path that somebody
    /// else has taken is left to him, with a warning.
    [[nodiscard]] bool should_bind_again(const std::vector<Listener>& listeners, Clock::time_point now);

private:
    EventSource& events_;
    UniqueFd inotify_{};
    Deadline look_at_{};
};

}  // namespace preforkd
