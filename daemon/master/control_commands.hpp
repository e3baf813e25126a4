#pragma once
#include <functional>
#include <optional>

#include "common/base/epoll_set.hpp"
#include "common/control/sources_report.hpp"
#include "daemon/master/control/control_server.hpp"
#include "daemon/master/lifecycle.hpp"
#include "daemon/master/pool/pool.hpp"
#include "daemon/master/reload/reloader.hpp"
#include "daemon/master/upgrade/upgrader.hpp"

namespace preforkd {

/// What the commands look at and act on; all borrowed, all must outlive them.
struct ControlTargets {
    Pool& pool;
    Reloader& reloader;
    Upgrader& upgrader;
    const Lifecycle& life;
    const Clock::time_point& began;
    std::function<void()> stop;  ///< gracefully
};

/// The control socket: obeys what preforkctl asks and orders of the master.  Without a socket everything here does
/// nothing.
class ControlCommands {
public:
    ControlCommands(EpollSet& events, ControlTargets targets) : events_{events}, targets_{std::move(targets)} {}

    /// Never fatal: what is in the way is a warning.
    void open(ControlListener listener);
    /// Where one has to be, unless it is there already: tried for until it is.
    void want(Endpoint place, Clock::time_point now);
    /// Everybody is told how it ended.
    void close();

    void serve(Clock::time_point now) { server_->serve(now); }
    /// Whether the socket's file is another now.
    bool maintain(Clock::time_point now);
    [[nodiscard]] Deadline next_deadline() const {
        return server_ ? earlier(server_->next_deadline(), next_try_) : next_try_;
    }

    /// What the process that observes is told, a line.
    [[nodiscard]] std::string snapshot(bool details);

    /// The socket's file, if there is one; and what to do if that was removed or replaced: false if nothing was, or it
    /// cannot be had yet, which maintain() sees to.
    [[nodiscard]] const ControlListener* listener() const { return server_ ? &server_->listener() : nullptr; }
    bool bind_again(Clock::time_point now);

    // To the next image, and from the one before.
    [[nodiscard]] HandedControl describe() const;
    void adopt(const HandedControl& handed, Clock::time_point now);
    /// Who had asked the image before for a reload is answered by one of this image.
    void reload_for_adopted(const HandedControl& handed, Clock::time_point now);
    /// Who had asked the image before for the upgrade is told how it ended.
    void conclude_upgrade(const Outcome& outcome);

private:
    void serve_at(ControlListener listener);
    [[nodiscard]] bool take_over(Clock::time_point now);
    [[nodiscard]] ControlReply obey(const ControlRequest& request);
    [[nodiscard]] ControlReply obey_workers(int workers);
    [[nodiscard]] ControlReply obey_reload(bool force);
    [[nodiscard]] ControlReply obey_upgrade();
    [[nodiscard]] bool stopping() const noexcept { return targets_.life.phase >= Phase::Withdrawing; }
    [[nodiscard]] Reloader::Answer concluding(Ticket ticket);
    [[nodiscard]] StatusReport status();
    [[nodiscard]] std::vector<ListenerSources> sources() const;

    EpollSet& events_;
    ControlTargets targets_;
    std::optional<ControlServer> server_{};
    Endpoint wanted_{};
    Deadline next_try_{};  ///< to have the socket, or its file, that could not be had
    bool lost_ = false;    ///< its file could not be had again, which was said
    std::uint64_t last_ticket_ = 0;
};

}  // namespace preforkd
