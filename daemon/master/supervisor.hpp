#pragma once
#include <string>

#include "common/service_notify.hpp"
#include "common/signal_fd.hpp"
#include "daemon/master/event_source.hpp"
#include "daemon/master/lifecycle.hpp"
#include "daemon/master/pool.hpp"
#include "daemon/master/reloader.hpp"

namespace preforkd {

/// What the master is made of; all borrowed, all must outlive it.
struct MasterParts {
    SignalFd& signals;
    ServiceNotify& systemd;
    UniqueFd& ready_fd;
};

/// The master: waits, decides, acts.  Binds nothing, never reads a byte from a client.
class Supervisor {
public:
    /// `first`: with open listeners, which the master closes when it stops.  `load`: what a reload does.
    Supervisor(const MasterParts& parts, Generation first, Reloader::Load load);

    /// Supervises until stopped; returns the exit code.
    [[nodiscard]] int run();

private:
    void offer_conditions(Clock::time_point now);
    void feed(const Event& event);
    void perform(Action action);
    void on_signals();
    void on_signal(int signo);
    void reap();
    void tell_systemd(Clock::time_point now);
    void close_listeners();
    void reopen_log_files();
    [[nodiscard]] std::string state();  ///< for STATUS=
    [[nodiscard]] Timeouts limits() const noexcept;
    [[nodiscard]] Deadline next_deadline(Clock::time_point now) const;

    MasterParts parts_;
    EventSource events_{};
    Pool pool_;
    Reloader reloader_;
    Lifecycle life_{};
    Deadline next_status_{};
    Deadline next_watchdog_{};
    bool was_healthy_ = true;
};

}  // namespace preforkd
