#pragma once
// The children of a worker: one process for each client, reaped as soon as they end.
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/child_process.hpp"
#include "common/clock.hpp"
#include "common/shared_slots.hpp"
#include "common/signal_fd.hpp"
#include "common/socket_address.hpp"
#include "daemon/worker/linger_ring.hpp"
#include "daemon/worker/reception.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

/// How a child ended.
struct ChildEnd {
    pid_t pid = 0;
    ExitReport report{};
    std::chrono::milliseconds age{};
    bool asked_to_end = false;  ///< we told it to
};

/// A client, and the child that is made for it.
class Errand {
public:
    Errand() = default;
    Errand(const Errand&) = delete;
    Errand& operator=(const Errand&) = delete;
    virtual ~Errand() = default;

    /// Makes the child.  Throws std::system_error; where the machine was only short of something it is called again.
    [[nodiscard]] virtual ChildProcess launch() = 0;

    virtual void signal(const ChildProcess& child, int signo) const { child.signal(signo); }

    /// The child has been reaped: say so.
    virtual void report(const ChildEnd& end) = 0;

    /// Whether, now that the child is reaped, others may still talk to its client.
    [[nodiscard]] virtual bool client_is_in_use(pid_t) const { return false; }

    /// The client's address as logs print it.
    [[nodiscard]] std::string peer() const { return address_of(address.to_endpoint(SOCK_STREAM)); }

    UniqueFd client{};  ///< our copy, for the lingering close; empty for a datagram
    SocketAddress address{};
    std::chrono::milliseconds linger{};
    std::function<void()> ended{};  ///< called when nothing of it is left
};

/// Says how the child of `errand` ended: `program 17 killed by SIGSEGV after 0.3s`.
void log_child_end(LogLevel level, std::string_view what, const Errand& errand, const ChildEnd& end);

/// Makes children, reaps them promptly, and ends them when the worker has to leave.
///
/// Our copy of a client's descriptor stays open until its child has been reaped, and is then lingered here, so that
/// slow clients cost no child.  A client whose child cannot be made for want of processes, memory or descriptors is
/// kept and tried again; bounded() takes nobody else meanwhile.
class ChildCrew {
public:
    /// Children of this process that are not of the crew.  Where handlers run they may be a handler's own, or the
    /// embedding program's, whose threads get SIGCHLD: then each child is waited for by its own descriptor.
    enum class Strangers { Leave, Reap };

    /// `parked`: connections that may linger.  `request_timeout`: how long a child may take; zero: for ever.
    ChildCrew(Reactor& reactor, WorkerRecord& record, std::size_t parked, Strangers strangers,
              std::chrono::milliseconds request_timeout = {});
    ~ChildCrew();
    ChildCrew(const ChildCrew&) = delete;
    ChildCrew& operator=(const ChildCrew&) = delete;

    /// Makes a child for a client that the reception has begun.
    void start(std::unique_ptr<Errand> errand);

    /// `take`, which takes nobody while a client waits for its child.
    [[nodiscard]] Reception::Take bounded(Reception::Take take);

    // The hooks of WorkerService.
    void drain();
    void hurry();  ///< SIGTERM, and SIGKILL for those who do not end
    void awake() { linger_.glance(); }
    void finish(std::function<void()> done);

    /// Clients from the same host as `address`.
    [[nodiscard]] std::size_t clients_from(const SocketAddress& address) const;

    [[nodiscard]] std::size_t size() const noexcept { return children_.size(); }

private:
    enum class Stage { Serving, Draining, Hurried };
    struct Child {
        ChildProcess process;
        std::unique_ptr<Errand> errand;
        Clock::time_point born{};
        Deadline patience{};  ///< asked to end, and then killed, when it has passed
        bool asked_to_end = false;
    };

    [[nodiscard]] bool launch(std::unique_ptr<Errand>& errand);
    void watch(const ChildProcess& process, const Errand& errand);
    void launch_waiting();
    void reap();
    void collect(pid_t pid);
    void let_go(Errand& errand, bool in_use);
    void end_overdue();
    void set_overdue_timer(Clock::time_point now);
    static void kill(const Child& child);
    void kill_all();

    Reactor& reactor_;
    WorkerRecord& record_;
    Strangers strangers_;
    std::chrono::milliseconds request_timeout_;
    std::optional<SignalFd> signals_{};  ///< SIGCHLD, to Reap
    LingerRing linger_;
    std::map<pid_t, Child> children_{};
    std::deque<std::unique_ptr<Errand>> waiting_{};  ///< for their child to be made
    std::unique_ptr<Timer> retry_timer_;
    std::unique_ptr<Timer> kill_timer_;
    std::unique_ptr<Timer> overdue_timer_;
    Deadline overdue_at_{};  ///< when that rings
    Stage stage_ = Stage::Serving;
};

}  // namespace preforkd
