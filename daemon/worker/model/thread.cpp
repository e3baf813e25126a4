#include <memory>
#include <optional>
#include <utility>

#include "daemon/worker/accept/worker_frame.hpp"
#include "daemon/worker/datagram/receive_datagrams.hpp"
#include "daemon/worker/handler/bus_watch.hpp"
#include "daemon/worker/handler/handler_hooks.hpp"
#include "daemon/worker/loop/epoll_reactor.hpp"
#include "daemon/worker/loop/linger_queue.hpp"
#include "daemon/worker/model/serve_model.hpp"
#include "daemon/worker/model/thread_crew.hpp"
#include "daemon/worker/process/stack_report.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

/// What the main thread has, and its threads use some of.
struct ThreadModel {
    ThreadModel(const WorkerPlan& plan, WorkerHandoff& its_handoff, WorkerControl& control)
        : handoff{its_handoff},
          linger{reactor, plan.parked},
          shares{std::move(its_handoff.shared), its_handoff.generation},
          bus{shares, its_handoff.record, reactor},
          core{{.number = its_handoff.number,
                .generation = its_handoff.generation,
                .model = plan.model,
                .lifeline = control.lifeline()},
               nullptr,
               &shares},
          handlers{plan},
          crew{reactor,
               {.idle_timeout = plan.settings.idle_timeout,
                .request_timeout = plan.settings.request_timeout,
                .line_max_bytes = plan.settings.line_max_bytes,
                .handler_busy = its_handoff.record.handler_busy}},
          worker_timeout{plan.settings.worker_timeout},
          frame{plan, handoff, control, reactor, hooks()} {
        frame.add_listeners([&](const Listener& listener) { return bounded(take_from(plan, listener)); });
    }

    ModelHooks hooks();
    Acceptor::Take take_from(const WorkerPlan& plan, const Listener& listener);
    Acceptor::Take bounded(Acceptor::Take take);
    void start(std::unique_ptr<ThreadTask> task);
    void show_threads();
    void watch_threads();

    WorkerHandoff& handoff;
    EpollReactor reactor{};
    LingerQueue linger;
    ServiceShares shares;
    BusWatch bus;
    WorkerCore core;
    HandlerSet handlers;
    TasksEnd tasks_end{core};
    ThreadCrew crew;
    std::chrono::milliseconds worker_timeout;
    std::unique_ptr<Timer> watch_timer = reactor.make_timer();
    bool watching = false;
    std::optional<ThreadCrew::Stuck> stuck{};  ///< what the worker's record tells the master
    WorkerFrame frame;
};

class StreamTask final : public ThreadTask {
public:
    StreamTask(ThreadModel& model, AnyStreamHandler handler, AcceptedStream stream)
        : model_{model},
          handler_{handler},
          linger_{stream.linger},
          client_{stream.client},
          place_{std::move(stream.place)},
          stream_{std::move(stream)} {}

    void run(const ServeHere& how) noexcept override { served_ = serve_here(handler_, std::move(stream_), how); }

    void over() override {
        stream_.account.failed(ConnectionOutcome::Cut);  // it never ran: else that has closed the account
        stream_.account.close();
        if (served_.fd) model_.linger.finish(std::move(served_.fd), linger_, served_.output_ended);
        place_.give_back();
        model_.frame.acceptor().ended(client_, served_.outcome);
        if (model_.stuck) model_.show_threads();
    }
    [[nodiscard]] bool has_loop() const noexcept override { return std::holds_alternative<StreamHandler*>(handler_); }

private:
    ThreadModel& model_;
    AnyStreamHandler handler_;
    std::chrono::milliseconds linger_;
    CountedClient client_;
    CountedPlace place_;  // the main thread's
    AcceptedStream stream_;
    ServedStream served_{.outcome = ConnectionOutcome::Cut};
};

class DatagramTask final : public ThreadTask {
public:
    DatagramTask(ThreadModel& model, AnyDatagramHandler handler, ReceivedDatagram datagram)
        : model_{model},
          handler_{handler},
          counter_{datagram.counter},
          place_{std::move(datagram.place)},
          datagram_{std::move(datagram)} {}

    void run(const ServeHere& how) noexcept override {
        outcome_ = serve_datagram_here(handler_, std::move(datagram_), how);
    }
    void over() override {
        place_.give_back();
        model_.frame.acceptor().datagram_ended(counter_, outcome_);
        if (model_.stuck) model_.show_threads();
    }
    [[nodiscard]] bool has_loop() const noexcept override {
        return std::holds_alternative<AsyncDatagramHandler*>(handler_);
    }

private:
    ThreadModel& model_;
    AnyDatagramHandler handler_;
    ListenerCounter& counter_;
    ConnectionOutcome outcome_ = ConnectionOutcome::Cut;
    CountedPlace place_;  // the main thread's
    ReceivedDatagram datagram_;
};

ModelHooks ThreadModel::hooks() {
    return {.drain =
                [this](auto) {
                    crew.drain();
                    tell_of_drain(handlers, core);
                },
            .hurry =
                [this] {
                    core.hurry();
                    crew.hurry();
                },
            .awake =
                [this] {
                    linger.glance();
                    let_handlers_act(handlers);
                },
            .show_threads = [this] { show_threads(); },
            .finish =
                [this](auto done) {
                    crew.join_finished();
                    core.end();
                    dismiss_handlers(handlers);
                    linger.when_empty(last_linger_limit, std::move(done));
                }};
}

Acceptor::Take ThreadModel::take_from(const WorkerPlan& plan, const Listener& listener) {
    if (is_datagram(listener.local.transport))
        return receive_one_by_one(datagram_inlet(plan, listener, frame.acceptor()),
                                  [this, handler = handlers.datagram_handler(listener)](ReceivedDatagram datagram) {
                                      start(std::make_unique<DatagramTask>(*this, handler, std::move(datagram)));
                                  });
    return accept_streams(listener, plan.settings, frame.acceptor(),
                          [this, handler = handlers.stream_handler(listener)](AcceptedStream stream) {
                              start(std::make_unique<StreamTask>(*this, handler, std::move(stream)));
                          });
}

/// Has the acceptor rest while there is no thread for a client that it has accepted.
Acceptor::Take ThreadModel::bounded(Acceptor::Take take) {
    return [this, take = std::move(take)](int socket) {
        if (crew.short_of_threads()) return Acceptor::not_now;
        const int error = take(socket);
        return error == 0 && crew.short_of_threads() ? Acceptor::not_now : error;
    };
}

void ThreadModel::start(std::unique_ptr<ThreadTask> task) {
    crew.start(std::move(task));
    // No handler code runs in this thread.
    enter(handoff.record, WorkerState::WaitingForClient);
    if (worker_timeout == 0ms) return;
    if (stuck) show_threads();
    if (!std::exchange(watching, true)) watch_threads();
}

/// A thread that hangs is a worker that hangs: it holds a place for a client that nobody gets back otherwise.
void ThreadModel::show_threads() {
    if (worker_timeout == 0ms) return;
    stuck = crew.longest_stuck(worker_timeout / 2);
    blame_thread(stuck ? stuck->thread : 0);
    WorkerRecord& record = handoff.record;
    if (stuck) {
        record.since_ns.store(stuck->since_ns, std::memory_order_relaxed);
        record.state.store(WorkerState::InHandler, std::memory_order_relaxed);
    } else if (record.state.load(std::memory_order_relaxed) == WorkerState::InHandler) {
        enter(record, WorkerState::WaitingForClient);
    }
}

/// Looks at them now and then, and no more when all have gone.
void ThreadModel::watch_threads() {
    watch_timer->set(std::min<std::chrono::milliseconds>(worker_timeout / 4 + 1ms, 15s), [this] {
        show_threads();
        watching = crew.running() != 0;
        if (watching) watch_threads();
    });
}

}  // namespace

int serve_thread(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control, std::function<void()> ready) {
    auto model = std::make_unique<ThreadModel>(plan, handoff, control);
    start_handlers(model->handlers, model->core);
    if (!plan.rehearsal) model->core.start();
    model->frame.serve(ready);
    if (const std::size_t stuck = model->crew.running(); stuck != 0) {
        log(LogLevel::Warning, "exiting although handlers in {threads} threads have not returned",
            {{"threads", std::uint64_t{stuck}}});
        model->crew.abandon();
        (void)model.release();  // they use it
    }
    return 0;
}

}  // namespace preforkd
