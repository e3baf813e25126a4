#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <utility>

#include "common/base/epoll_set.hpp"
#include "common/base/sys_error.hpp"
#include "daemon/worker/accept/worker_frame.hpp"
#include "daemon/worker/datagram/receive_datagrams.hpp"
#include "daemon/worker/handler/bus_watch.hpp"
#include "daemon/worker/handler/handler_hooks.hpp"
#include "daemon/worker/loop/epoll_reactor.hpp"
#include "daemon/worker/loop/linger_queue.hpp"
#include "daemon/worker/model/serve_model.hpp"
#include "daemon/worker/stream/serve_here.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

/// Lets a blocking handler that waits for its client hear what the reactor, which does not run meanwhile, would hear.
class StopNotifier final : public StopWatch {
public:
    StopNotifier(WorkerControl& control, Reactor& reactor)
        : control_{control},
          reactor_{reactor},
          deadline_{check(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "create a timer")} {
        for (const int fd : control_.signal_fds()) all_.watch(fd, 0);
        all_.watch(deadline_.get(), 0);
        if (control_.has_master()) all_.watch(control_.orders_fd(), 0);
    }

    void attach(WorkerFrame& frame) noexcept { frame_ = &frame; }

    /// From now on the handler has this long; zero: for ever.
    void drain(std::chrono::milliseconds patience) {
        draining_ = true;
        itimerspec when{};
        when.it_value.tv_sec = patience / 1s;
        when.it_value.tv_nsec = std::chrono::nanoseconds{patience % 1s}.count();
        check(::timerfd_settime(deadline_.get(), 0, &when, nullptr), "set a timer");
    }

    void hurry() noexcept { hurried_ = true; }

    [[nodiscard]] int fd() const noexcept override { return all_.fd(); }

    void hear() override {
        control_.read_signals(*frame_);
        if (std::uint64_t times = 0; ::read(deadline_.get(), &times, sizeof times) == sizeof times) frame_->hurry();
        if (!control_.has_master() || control_.read_orders(*frame_)) return;
        all_.remove(control_.orders_fd());  // its end would be heard for ever
        reactor_.forget(control_.orders_fd());
    }

    void before_first_wait() override { frame_->acceptor().about_to_block(); }

    [[nodiscard]] bool hurried() const noexcept override { return hurried_; }
    [[nodiscard]] bool draining() const noexcept override { return draining_; }

    /// A handler that computes and asks whether it should end: nobody else hears the order meanwhile.
    void hear_without_waiting() noexcept override {
        // Another thread, and a process that the handler has forked, must take nothing from here.
        if (draining_ || ::gettid() != thread_) return;
        pollfd something{.fd = fd(), .events = POLLIN, .revents = 0};
        if (::poll(&something, 1, 0) == 1) try {
                hear();
            } catch (const std::exception& error) {
                log(LogLevel::Error, "cannot hear the master: {cause}", {{"cause", error.what()}});
            }
    }

private:
    WorkerControl& control_;
    Reactor& reactor_;
    WorkerFrame* frame_ = nullptr;
    EpollSet all_{};  // poll(2) beside the client takes one
    UniqueFd deadline_;
    pid_t thread_ = ::gettid();
    std::atomic<bool> draining_{false};  // other threads of the handler's ask, too
    bool hurried_ = false;
};

bool some_handler_blocks(const WorkerPlan& plan) {
    return std::ranges::any_of(plan.listeners, [&](const Listener& listener) {
        return is_own(listener, plan) && !is_datagram(listener.local.transport) &&
               !plan.handlers.find(handler_of(listener.settings, plan.settings))->make_stream;
    });
}

int serve_blocking(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control,
                   const std::function<void()>& ready) {
    EpollReactor reactor;
    LingerQueue linger{reactor, plan.parked};
    const ServiceShares shares{std::move(handoff.shared), handoff.generation};
    const BusWatch bus{shares, handoff.record, reactor};
    WorkerCore core{{.number = handoff.number,
                     .generation = handoff.generation,
                     .model = plan.model,
                     .lifeline = control.lifeline()},
                    nullptr,
                    &shares};
    HandlerSet handlers{plan};
    const TasksEnd tasks_end{core};
    StopNotifier stop_notifier{control, reactor};
    WorkerFrame frame{plan,
                      handoff,
                      control,
                      reactor,
                      {.drain =
                           [&](auto patience) {
                               stop_notifier.drain(patience);
                               tell_of_drain(handlers, core);
                           },
                       .hurry =
                           [&] {
                               core.hurry();
                               stop_notifier.hurry();
                           },
                       .awake =
                           [&] {
                               linger.glance();
                               let_handlers_act(handlers);
                           },
                       .finish =
                           [&](auto done) {
                               core.end();
                               dismiss_handlers(handlers);
                               linger.when_empty(last_linger_limit, std::move(done));
                           }}};
    stop_notifier.attach(frame);
    Acceptor& acceptor = frame.acceptor();
    const ServeHere here{.idle_timeout = plan.settings.idle_timeout,
                         .request_timeout = plan.settings.request_timeout,
                         .line_max_bytes = plan.settings.line_max_bytes,
                         .stop = stop_notifier,
                         .record = handoff.record};
    frame.add_listeners([&](const Listener& listener) -> Acceptor::Take {
        if (is_datagram(listener.local.transport))
            return receive_one_by_one(datagram_inlet(plan, listener, acceptor),
                                      [&, handler = handlers.datagram_handler(listener)](ReceivedDatagram datagram) {
                                          CountedPlace place = std::move(datagram.place);
                                          ListenerCounter& counter = datagram.counter;
                                          const auto began = Clock::now();
                                          const auto outcome = serve_datagram_here(handler, std::move(datagram), here);
                                          acceptor.handler_busy().add(Clock::now() - began, Writers::One);
                                          place.give_back();
                                          acceptor.datagram_ended(counter, outcome);
                                      });
        return accept_streams(listener, plan.settings, acceptor,
                              [&, handler = handlers.stream_handler(listener)](AcceptedStream stream) {
                                  const auto patience = stream.linger;
                                  CountedPlace place = std::move(stream.place);
                                  const CountedClient client = stream.client;
                                  ServedStream served = serve_here(handler, std::move(stream), here);
                                  linger.finish(std::move(served.fd), patience, served.output_ended);
                                  place.give_back();
                                  acceptor.ended(client, served.outcome);
                              });
    });
    start_handlers(handlers, core);
    if (!plan.rehearsal) core.start();
    frame.serve(ready);
    return 0;
}

}  // namespace

// A coroutine handler needs no blocking read to be served one after the other: a limit of one connection is enough,
// and the worker still hears its master while it waits for a slow client.
int serve_serial(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control, std::function<void()> ready) {
    WorkerPlan one_at_a_time = plan;
    one_at_a_time.connections = 1;
    if (some_handler_blocks(plan)) return serve_blocking(one_at_a_time, handoff, control, ready);
    return serve_async(one_at_a_time, handoff, control, std::move(ready));
}

}  // namespace preforkd
