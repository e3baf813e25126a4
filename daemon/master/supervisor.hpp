#pragma once
#include <optional>
#include <string>

#include "common/base/epoll_set.hpp"
#include "common/process/signal_fd.hpp"
#include "common/systemd/stored_ticket_keys.hpp"
#include "common/systemd/systemd_notify.hpp"
#include "daemon/master/control_commands.hpp"
#include "daemon/master/lifecycle.hpp"
#include "daemon/master/log_reopening.hpp"
#include "daemon/master/observe/observer_process.hpp"
#include "daemon/master/pool/pool.hpp"
#include "daemon/master/reload/queue_retirement.hpp"
#include "daemon/master/reload/reloader.hpp"
#include "daemon/master/reload/socket_file_watch.hpp"
#include "daemon/master/upgrade/upgrader.hpp"

namespace preforkd {

/// What the master is made of; all borrowed, all must outlive it.
struct MasterParts {
    SignalFd& signals;
    SystemdNotify& systemd;
    UniqueFd& ready_fd;
    const Launch& launch;
};

/// The master: waits, decides, acts.  Binds nothing, never reads a byte from a client.
class Supervisor {
public:
    /// `first`: with open listeners, which the master closes when it stops.  `load`: what a reload does.
    Supervisor(const MasterParts& parts, Generation first, BeginLoading load);

    /// Carries on where the image before stopped: with its workers, which are of the generation `current`.  A body of
    /// its own, after a failed upgrade, means that they are this image's; without one a generation of this image takes
    /// over as soon as it is ready.  Owns the descriptors of `handover` that `current` does not.
    Supervisor(const MasterParts& parts, Generation current, BeginLoading load, const Handover& handover);

    /// Lets preforkctl ask and order.  Never fatal: what is in the way is a warning.
    void open_control(ControlListener listener) { control_.open(std::move(listener)); }
    /// The same as soon as it can be had at `place`.
    void want_control(Endpoint place) { control_.want(std::move(place), Clock::now()); }

    /// Supervises until stopped; returns the exit code.
    [[nodiscard]] int run();

private:
    void offer_conditions(Clock::time_point now);
    void offer_slots(Clock::time_point now);
    void watch_listeners(Clock::time_point now);
    void mind_socket_files(Clock::time_point now);
    void mind_shared_listeners(Clock::time_point now);
    void mind_queues_that_go(Clock::time_point now);
    void mind_ticket_keys();
    void feed(const Event& event);
    void perform(Action action);
    void on_signals();
    void on_signal(int signo);
    void reap();
    void tell_systemd(Clock::time_point now);
    void close_listeners();
    void start(Clock::time_point now);
    [[nodiscard]] Handover describe();  ///< for the next image
    void prove(const Handover& handover, Clock::time_point now);
    void resume(const Handover& handover);
    void conclude_upgrade(const ReloadOutcome& outcome);
    void revert(const std::string& cause);
    void forget_secrets() noexcept;
    [[nodiscard]] bool rests() const;
    [[nodiscard]] Slots slots_for_upgrade() const;
    [[nodiscard]] std::string state();  ///< for STATUS=
    [[nodiscard]] Timeouts limits() const noexcept;
    [[nodiscard]] Deadline next_deadline(Clock::time_point now) const;

    MasterParts parts_;
    EpollSet events_{};
    Pool pool_;
    Reloader reloader_;
    Upgrader upgrader_;
    LogReopening log_reopening_{};
    std::optional<Handover> before_{};  ///< while this image has to prove itself
    UniqueFd old_image_{};              ///< the file of the one before
    UniqueFd spare_{};                  ///< for the way back: the new generation may have taken all descriptors
    SocketFileWatch socket_files_{events_};
    ShutdownWatch shutdowns_{events_, parts_.systemd};
    QueueRetirement queue_retirement_{parts_.systemd};
    StoredTicketKeys stored_ticket_keys_{parts_.systemd};
    int watched_generation_ = 0;
    Lifecycle life_{};
    Deadline next_status_{};
    Deadline next_watchdog_{};
    bool was_healthy_ = true;
    Clock::time_point began_ = Clock::now();
    ControlCommands control_{
        events_,
        {.pool = pool_, .reloader = reloader_, .upgrader = upgrader_, .life = life_, .began = began_, .stop = [this] {
             feed(StopRequested{Urgency::Graceful, Clock::now()});
         }}};
    ObserverProcess observer_{events_, [this](bool details) { return control_.snapshot(details); },
                              [this] { forget_secrets(); }};
};

}  // namespace preforkd
