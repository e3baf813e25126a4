#pragma once
#include <string>
#include <vector>

#include "common/listener.hpp"
#include "common/service_notify.hpp"
#include "common/settings.hpp"
#include "common/signal_fd.hpp"
#include "daemon/master/event_source.hpp"
#include "daemon/master/lifecycle.hpp"
#include "daemon/master/pool.hpp"

namespace preforkd {

/// What the master is made of; all borrowed, all must outlive it.
struct MasterParts {
    const Settings& settings;
    std::vector<Listener>& listeners;  ///< bound; closed by the master when it stops
    SignalFd& signals;
    ServiceNotify& systemd;
    UniqueFd& ready_fd;
};

/// The master: waits, decides, acts.  Binds nothing, never reads a byte from a client.
class Supervisor {
public:
    Supervisor(const MasterParts& parts, const PoolSettings& pool, WorkerMain body);

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
    [[nodiscard]] Deadline next_deadline(Clock::time_point now) const;

    MasterParts parts_;
    EventSource events_{};
    Pool pool_;
    Lifecycle life_{};
    Timeouts limits_;
    Deadline next_status_{};
    Deadline next_watchdog_{};
    bool was_healthy_ = true;
};

}  // namespace preforkd
