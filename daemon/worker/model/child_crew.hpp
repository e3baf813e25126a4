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

#include "common/base/clock.hpp"
#include "common/channel/scoreboard.hpp"
#include "common/net/socket_address.hpp"
#include "common/process/child_process.hpp"
#include "common/process/signal_fd.hpp"
#include "daemon/worker/accept/acceptor.hpp"
#include "daemon/worker/accept/connection_account.hpp"
#include "daemon/worker/accept/counted_place.hpp"
#include "daemon/worker/loop/linger_queue.hpp"
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
class ChildJob {
public:
    ChildJob() = default;
    ChildJob(const ChildJob&) = delete;
    ChildJob& operator=(const ChildJob&) = delete;
    virtual ~ChildJob() = default;

    /// Makes the child.  Throws std::system_error; where the machine was only short of something it is called again.
    [[nodiscard]] virtual ChildProcess launch() = 0;

    virtual void signal(const ChildProcess& child, int signo) const { child.signal(signo); }

    /// Whether nobody waits for the child to be reaped: its client has already heard of the end.
    [[nodiscard]] virtual bool end_can_wait() const noexcept { return false; }

    /// Notes how serving the client has ended, if not well.
    virtual void failed(ConnectionOutcome outcome) noexcept { account.failed(outcome); }

    /// This worker has to leave, once the child has ended.  One that serves a client goes on.
    virtual void ask_to_leave(const ChildProcess&) {}

    /// Whether --request-timeout holds for it.
    [[nodiscard]] virtual bool is_one_request() const noexcept { return true; }

    /// The child has been reaped: say so.
    virtual void report(const ChildEnd& end) = 0;

    /// Whether, now that the child is reaped, others may still talk to its client.
    [[nodiscard]] virtual bool client_is_in_use(pid_t) const { return false; }

    /// The client's address as logs print it.
    [[nodiscard]] virtual std::string peer() const { return address_of(address.to_endpoint(SOCK_STREAM)); }

    UniqueFd client{};  ///< our copy, for the lingering close; empty for a datagram, and once launched without a time
                        ///< to linger
    SocketAddress address{};
    std::chrono::milliseconds linger{};
    ConnectionAccount account{};    ///< closed when nothing of it is left
    CountedPlace place{};           ///< given back before that
    std::function<void()> ended{};  ///< called when nothing of it is left
};

/// Says how the child of `job` ended: `program 17 killed by SIGSEGV after 0.3s`.
void log_child_end(LogLevel level, std::string_view what, const ChildJob& job, const ChildEnd& end);

/// Makes children, reaps them promptly, and ends them when the worker has to leave.
///
/// Most forked children have ended when the next client comes: they are reaped then, by their number, which spares each
/// a pidfd, its way through epoll and a wake-up of the worker.  A child that is still there after 5 ms, or at the limit
/// (where clients wait for an end), is watched.
///
/// Our copy of a client's descriptor stays open until its child has been reaped, and is then lingered here, so that
/// slow clients cost no child; with linger=off there is none.  A client whose child cannot be made for want of
/// processes, memory or descriptors is kept and tried again; bounded() takes nobody else meanwhile.
class ChildCrew {
public:
    /// Children of this process that are not of the crew.  Where handlers run they may be a handler's own, or the
    /// embedding program's, whose threads get SIGCHLD: then each child is waited for by its own descriptor.
    enum class Strangers { Leave, Reap };

    struct Rules {
        std::size_t limit = 1;   ///< children at once, which the acceptor keeps
        std::size_t parked = 0;  ///< connections that may linger
        Strangers strangers = Strangers::Leave;
        std::chrono::milliseconds request_timeout{};  ///< how long a child may take; zero: for ever
    };

    ChildCrew(Reactor& reactor, WorkerRecord& record, const Rules& rules);
    ~ChildCrew();
    ChildCrew(const ChildCrew&) = delete;
    ChildCrew& operator=(const ChildCrew&) = delete;

    /// Makes a child for a client that the acceptor has begun.
    void start(std::unique_ptr<ChildJob> job);

    /// `take`, which takes nobody while a client waits for its child.
    [[nodiscard]] Acceptor::Take bounded(Acceptor::Take take);

    // The hooks of WorkerFrame.
    void drain();
    void hurry();  ///< SIGTERM, and SIGKILL for those who do not end
    void awake();
    void finish(std::function<void()> done);

    /// Clients from the same host as `address`.
    [[nodiscard]] std::size_t clients_from(const SocketAddress& address) const;

    /// Of its clients' connections.
    [[nodiscard]] LingerQueue& linger() noexcept { return linger_; }

    [[nodiscard]] std::size_t size() const noexcept { return children_.size(); }

private:
    enum class Stage { Serving, Draining, Hurried };
    struct Child {
        ChildProcess process;
        std::unique_ptr<ChildJob> job;
        Clock::time_point born{};
        Deadline patience{};  ///< asked to end, and then killed, when it has passed
        bool asked_to_end = false;
    };

    [[nodiscard]] bool launch(std::unique_ptr<ChildJob>& job);
    void expect_end_of(pid_t pid);
    void watch(pid_t pid);
    void watch_the_rest();
    void set_watch_timer();
    void reap_unwatched();
    void launch_waiting();
    void reap();
    bool collect(pid_t pid);
    void let_go(ChildJob& job, bool in_use);
    void end_overdue();
    void set_overdue_timer(Clock::time_point now);
    static void kill(const Child& child);
    void kill_all();

    Reactor& reactor_;
    WorkerRecord& record_;
    Rules rules_;
    std::optional<SignalFd> signals_{};  ///< SIGCHLD, to Reap
    LingerQueue linger_;
    std::map<pid_t, Child> children_{};
    std::deque<pid_t> unwatched_{};                    ///< of those the ones not watched yet, the oldest first
    std::deque<std::unique_ptr<ChildJob>> waiting_{};  ///< for their child to be made
    std::unique_ptr<Timer> retry_timer_;
    std::unique_ptr<Timer> watch_timer_;
    std::unique_ptr<Timer> kill_timer_;
    std::unique_ptr<Timer> overdue_timer_;
    Deadline overdue_at_{};         ///< when that rings
    bool watch_timer_set_ = false;  ///< its timer is set
    bool said_short_ = false;       ///< that no process can be made
    Stage stage_ = Stage::Serving;
};

}  // namespace preforkd
