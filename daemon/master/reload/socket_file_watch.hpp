#pragma once
#include <string>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/epoll_set.hpp"
#include "common/base/unique_fd.hpp"
#include "common/net/listener.hpp"
#include "daemon/master/control/control_server.hpp"

namespace preforkd {

/// Its key in the master's EpollSet: above every pid.
inline constexpr std::uint64_t socket_files_key = control_key + 1;

/// The file of a Unix socket that we bound.
struct SocketFile {
    std::string path{};
    FileIdentity identity{};
};

/// Notices when a Unix socket that we bound loses its file: removed, renamed or replaced, so that no client finds it.
/// Costs nothing at rest: the kernel tells.  Source: inotify(7); unlink(2) of a watched file is IN_ATTRIB.
class SocketFileWatch {
public:
    /// `events` must outlive it.
    explicit SocketFileWatch(EpollSet& events) : events_{events} {}

    /// Watches these files instead of those before.
    void follow(const std::vector<SocketFile>& files, Clock::time_point now);

    /// Something happened to a file, or near it: it is time to look at deadline().  Not at once, because a program that
    /// removes a socket file may be about to put another socket there.
    void hear(Clock::time_point now);
    [[nodiscard]] Deadline deadline() const noexcept { return look_at_; }
    /// Whether the deadline has passed; then there is none any more.
    [[nodiscard]] bool is_time_to_look(Clock::time_point now) noexcept;

    /// Whether one of `listeners` has lost its file and can be bound again.  A path that somebody else has taken is
    /// left to him, and one whose directory is gone cannot be bound: said once, and looked at again from time to time.
    [[nodiscard]] bool should_bind_again(const std::vector<const Listener*>& listeners, Clock::time_point now);

private:
    EpollSet& events_;
    UniqueFd inotify_{};
    Deadline look_at_{};
    bool told_ = false;  ///< what stands in the way of binding again
};

}  // namespace preforkd
