#pragma once
#include <chrono>
#include <functional>
#include <optional>

#include "common/base/clock.hpp"
#include "common/channel/worker_handoff.hpp"
#include "daemon/worker/accept/acceptor.hpp"
#include "daemon/worker/loop/reactor.hpp"
#include "daemon/worker/process/memory_watch.hpp"
#include "daemon/worker/process/worker_control.hpp"
#include "daemon/worker/process/worker_plan.hpp"

namespace preforkd {

/// What a model does beside taking clients.
struct ModelHooks {
    /// Told to leave: nobody new will come.  What runs has `patience`, then hurry() is called; zero: for ever.  Called
    /// again where that gets less.
    std::function<void(std::chrono::milliseconds patience)> drain{};
    std::function<void()> hurry{};  ///< wait for no client any more
    std::function<void()> awake{};  ///< the worker is awake: time for small chores
    /// Shows in the worker's record what its threads do; empty where this thread runs the handlers.
    std::function<void()> show_threads{};
    /// The last client has gone; calls its argument when the process may end.
    std::function<void(std::function<void()> done)> finish{};
};

/// The frame of a worker in every model: signals, orders, the lifeline, the acceptor, the way out.
class WorkerFrame final : public WorkerActions {
public:
    WorkerFrame(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control, Reactor& reactor,
                ModelHooks hooks);

    /// Adds each listener of the plan, with what `take_for` makes for it.
    void add_listeners(const std::function<Acceptor::Take(const Listener&)>& take_for);

    /// Serves until told to leave and everything has ended.  `ready` is called when it waits on every listener.
    void serve(const std::function<void()>& ready);

    [[nodiscard]] Acceptor& acceptor() noexcept { return acceptor_; }

    void look() override;
    void drain(const ClosingListeners& closing, FinishTime within) override;
    void hurry() override;
    void retire() override;

private:
    AcceptorSettings acceptor_settings();
    void shorten_drain(std::chrono::milliseconds patience);
    void watch_printed();

    const WorkerPlan& plan_;
    WorkerHandoff& handoff_;
    WorkerControl& control_;
    Reactor& reactor_;
    ModelHooks hooks_;
    std::optional<MemoryWatch> memory_{};
    Acceptor acceptor_;
    std::unique_ptr<Timer> deadline_;
    Deadline drain_end_{};  ///< while it drains: until then what runs is waited for
    std::unique_ptr<Timer> printed_timer_;
};

}  // namespace preforkd
