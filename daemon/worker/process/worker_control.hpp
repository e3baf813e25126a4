#pragma once
// What a worker is told: by the master's signals and orders, or by the operator where there is no master.
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "common/base/unique_fd.hpp"
#include "common/channel/channel.hpp"
#include "common/log/log_output.hpp"
#include "common/process/signal_fd.hpp"
#include "daemon/worker/process/lifeline.hpp"

namespace preforkd {

/// Which of a worker's listeners close for good, so that the clients queued there have to be served first.
struct ClosingListeners {
    bool all = false;
    std::set<std::uint32_t> indices{};  ///< beside `all`

    [[nodiscard]] bool any() const noexcept { return all || !indices.empty(); }
};

/// How long what runs may take once the worker is told to leave; unset: --stop-timeout; zero: for ever.
using FinishTime = std::optional<std::chrono::milliseconds>;

/// What every model can be asked to do.
class WorkerActions {
public:
    virtual ~WorkerActions() = default;

    /// Accept what is queued: a sibling may have taken a wake-up with it.
    virtual void look() = 0;

    /// Accept no more, finish what runs, after serving the clients queued on `closing`.  Repeated, it can only shorten
    /// the time.
    virtual void drain(const ClosingListeners& closing, FinishTime within) = 0;

    /// As drain(), and wait for no client any more.
    virtual void hurry() = 0;

    /// Asks the master for a replacement, which starts before this worker has to leave.
    virtual void retire() = 0;
};

/// What a process without a master does beside serving.
struct OperatorHooks {
    std::function<void()> before_stop{};                      ///< once, before the first drain
    LogSettings log{};                                        ///< reopened on USR1
    std::optional<std::chrono::microseconds> alive_period{};  ///< how often `alive` is called while the loop turns
    std::function<void()> alive{};
};

/// How a server inside somebody's program is told to stop: that process's signals are not ours to take.
struct EmbedderHooks {
    int fd = -1;                         ///< readable when `stop_asked` should be called; borrowed
    std::function<bool()> stop_asked{};  ///< reads what there is
};

/// Reads signals and orders and passes on what is to be done.  The worker's loop waits for their descriptors.
class WorkerControl {
public:
    /// A worker below `master`, at the other end of `channel`.  From the master QUIT means to drain, and TERM that time
    /// is up.  From somebody else (an operator, or systemd to a whole control group) either means that this worker
    /// shall go, for which the master first has to know; a second one is as good as the master's.
    explicit WorkerControl(ChannelEnd channel, pid_t master = ::getppid());

    /// The process that is the worker (--workers 0): takes the master's signals, those that stop from its lifeline.
    explicit WorkerControl(OperatorHooks hooks);

    /// A server inside somebody's program: takes no signals.
    explicit WorkerControl(EmbedderHooks hooks);

    /// From now on, as long as it lives.
    void attach(Lifeline& lifeline) noexcept { lifeline_ = &lifeline; }
    [[nodiscard]] Lifeline* lifeline() const noexcept { return lifeline_; }  ///< nullptr: none is needed

    [[nodiscard]] std::vector<int> signal_fds() const;  ///< where one is readable: read_signals()
    [[nodiscard]] bool has_master() const noexcept { return static_cast<bool>(channel_.orders); }
    [[nodiscard]] int orders_fd() const noexcept { return channel_.orders.get(); }    ///< -1 without a master
    [[nodiscard]] int reports_fd() const noexcept { return channel_.reports.get(); }  ///< -1 without a master
    [[nodiscard]] bool orphaned() const noexcept { return orphaned_; }                ///< the master is gone

    void read_signals(WorkerActions& actions);

    /// Reads orders.  False once the master is gone: the worker has then been told to drain.
    [[nodiscard]] bool read_orders(WorkerActions& actions);

private:
    void obey_master(const signalfd_siginfo& signal, WorkerActions& actions);
    void obey_operator(int signo);
    void start_alive_clock();
    void stop_as_operator_asks(WorkerActions& actions, bool fast);

    ChannelEnd channel_{};
    pid_t master_ = 0;
    OperatorHooks hooks_{};
    EmbedderHooks embedder_{};
    UniqueFd alive_clock_{};
    SignalFd signals_;
    Lifeline* lifeline_ = nullptr;
    ClosingListeners closing_{};
    FinishTime finish_within_{};  ///< for the next drain: what follows without an order is a stop
    bool stopping_ = false;       ///< somebody but the master has asked for it
    bool orphaned_ = false;
};

}  // namespace preforkd
