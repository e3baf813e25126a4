#pragma once
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/epoll_set.hpp"
#include "common/base/unique_fd.hpp"
#include "common/config/settings.hpp"
#include "common/net/listener.hpp"
#include "common/systemd/systemd_notify.hpp"
#include "daemon/master/reload/socket_file_watch.hpp"

namespace preforkd {

/// Its key in the master's EpollSet.
inline constexpr std::uint64_t shutdown_key = socket_files_key + 1;

/// Notices when a worker has shut down a listener, shutdown(2), which then refuses everybody for all who share it.
/// Costs nothing at rest: the kernel tells.  That one was connected, connect(2), it does not tell.
class ShutdownWatch {
public:
    /// Both must outlive it.  `systemd` keeps listeners.
    ShutdownWatch(EpollSet& events, SystemdNotify& systemd) : events_{events}, systemd_{systemd} {}

    /// Watches these listeners instead of those before, of which it then holds nothing.
    void follow(const std::vector<Listener>& listeners);

    /// Something happened to a listener: it is time to look at deadline().  Soon, but for a worker that does it again.
    void hear(Clock::time_point now) noexcept { look_at_ = next_revival_ > now ? next_revival_ : now; }
    [[nodiscard]] Deadline deadline() const noexcept { return look_at_; }

    /// Once the deadline has passed: whether some of `listeners` were shut down and can serve again, by workers of a
    /// new generation.  TCP listens again here, UDP gets a new socket; a Unix socket of ours that has a file is bound
    /// again by that generation.
    [[nodiscard]] bool should_serve_again(std::vector<Listener>& listeners, const Settings& settings,
                                          Clock::time_point now);

    /// Has datagram sockets that a worker has connected hear everybody again, once a second at most.  Costs a system
    /// call for each: to be called whenever the master is awake.
    void disconnect_all(const std::vector<Listener>& listeners, Clock::time_point now);

    /// There cannot be a new generation now.
    void look_later(Clock::time_point now) noexcept;

private:
    EpollSet& events_;
    SystemdNotify& systemd_;
    std::vector<UniqueFd> watched_{};
    Deadline look_at_{};
    Deadline next_revival_{};
    Clock::time_point may_disconnect_at_{};
};

}  // namespace preforkd
