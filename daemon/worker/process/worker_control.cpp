#include "daemon/worker/process/worker_control.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "common/base/sys_error.hpp"
#include "common/channel/channel.hpp"

namespace preforkd {

using namespace std::chrono_literals;

WorkerControl::WorkerControl(ChannelEnd channel, pid_t master)
    : channel_{std::move(channel)}, master_{master}, signals_{SIGQUIT, SIGTERM} {}

WorkerControl::WorkerControl(OperatorHooks hooks)
    : hooks_{std::move(hooks)}, signals_{SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU} {
    if (hooks_.alive_period) start_alive_clock();
}

WorkerControl::WorkerControl(EmbedderHooks hooks) : embedder_{std::move(hooks)}, signals_{} {}

/// A descriptor and no timer of the loop: a blocking handler that waits for its client hears of it too.
void WorkerControl::start_alive_clock() {
    alive_clock_ = UniqueFd{check(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "create a timer")};
    itimerspec when{};
    when.it_interval.tv_sec = *hooks_.alive_period / 1s;
    when.it_interval.tv_nsec = std::chrono::nanoseconds{*hooks_.alive_period % 1s}.count();
    when.it_value = when.it_interval;
    check(::timerfd_settime(alive_clock_.get(), 0, &when, nullptr), "set a timer");
}

std::vector<int> WorkerControl::signal_fds() const {
    if (embedder_.stop_asked) return {embedder_.fd};
    std::vector<int> fds = lifeline_ != nullptr ? lifeline_->stop_fds() : std::vector<int>{};
    fds.push_back(signals_.get());
    if (alive_clock_) fds.push_back(alive_clock_.get());
    return fds;
}

void WorkerControl::read_signals(WorkerActions& actions) {
    if (embedder_.stop_asked) {
        if (embedder_.stop_asked()) actions.drain({}, {});
        return;
    }
    if (lifeline_ != nullptr)
        if (const auto stop = lifeline_->take_stop()) stop_as_operator_asks(actions, *stop == Lifeline::Stop::Fast);
    if (std::uint64_t times = 0; alive_clock_ && ::read(alive_clock_.get(), &times, sizeof times) > 0) hooks_.alive();
    while (const auto signal = signals_.next_with_sender()) {
        if (has_master())
            obey_master(*signal, actions);
        else
            obey_operator(static_cast<int>(signal->ssi_signo));
    }
}

void WorkerControl::obey_master(const signalfd_siginfo& signal, WorkerActions& actions) {
    (void)read_orders(actions);  // whether to empty the queue was said before the signal was sent
    const bool from_master = signal.ssi_pid == static_cast<std::uint32_t>(master_);
    if (!from_master && !orphaned_ && !std::exchange(stopping_, true)) {
        log(LogLevel::Notice, "got a stop signal from process {sender_pid}; requesting a replacement before exiting",
            {{"sender_pid", std::int64_t{signal.ssi_pid}}});
        return actions.retire();
    }
    actions.drain(closing_, std::exchange(finish_within_, std::nullopt));
    if (signal.ssi_signo == SIGTERM) actions.hurry();
}

void WorkerControl::obey_operator(int signo) {
    switch (signo) {
        case SIGUSR1: return reopen_log(hooks_.log);
        default:
            log(LogLevel::Notice,
                "signal {signal} ignored: reload, upgrade and pool size need a master, and --workers 0 has none",
                {{"signal", sigabbrev_np(signo)}});
    }
}

void WorkerControl::stop_as_operator_asks(WorkerActions& actions, bool fast) {
    if (!std::exchange(stopping_, true)) hooks_.before_stop();
    actions.drain({.all = true}, {});
    if (fast) actions.hurry();
}

bool WorkerControl::read_orders(WorkerActions& actions) {
    for (;;) {
        const auto received = receive_order(channel_.orders.get());
        if (std::holds_alternative<NothingYet>(received)) return true;
        if (std::holds_alternative<PeerGone>(received)) {
            orphaned_ = true;
            log(LogLevel::Warning, "the master is gone: finishing open requests, then exiting");
            actions.drain({}, {});
            return false;
        }
        const auto& [order, argument] = std::get<ReceivedOrder>(received);
        switch (order) {
            case Order::LookForClients: actions.look(); break;
            case Order::EmptyQueue:
                if (argument != every_listener) {
                    closing_.indices.insert(argument);
                    break;
                }
                closing_.all = true;
                finish_within_.reset();  // the daemon stops, and the two drains may be one signal
                break;
            case Order::FinishWithin: finish_within_ = argument * finish_unit; break;
        }
    }
}

}  // namespace preforkd
