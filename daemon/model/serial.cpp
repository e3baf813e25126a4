#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>

#include "common/sys_error.hpp"
#include "daemon/model/handler_hooks.hpp"
#include "daemon/model/model.hpp"
#include "daemon/worker/datagram_gate.hpp"
#include "daemon/worker/epoll_reactor.hpp"
#include "daemon/worker/linger_ring.hpp"
#include "daemon/worker/serve_here.hpp"
#include "daemon/worker/worker_service.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto last_linger_limit = 500ms;  // for clients that have their answer and do not close

/// Lets a blocking handler that waits for its client hear what the reactor, which does not run meanwhile, would hear.
class Ear final : public StopWatch {
public:
    Ear(Control& control, Reactor& reactor)
        : control_{control},
          reactor_{reactor},
          all_{check(::epoll_create1(EPOLL_CLOEXEC), "create an epoll set")},
          deadline_{check(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "create a timer")} {
        for (const int fd : control_.signal_fds()) listen_to(fd);
        listen_to(deadline_.get());
        if (control_.channel_fd() >= 0) listen_to(control_.channel_fd());
    }

    void attach(WorkerService& service) noexcept { service_ = &service; }

    /// From now on the handler has this long; zero: for ever.
    void set_deadline(std::chrono::milliseconds patience) {
        itimerspec when{};
        when.it_value.tv_sec = patience / 1s;
        when.it_value.tv_nsec = std::chrono::nanoseconds{patience % 1s}.count();
        check(::timerfd_settime(deadline_.get(), 0, &when, nullptr), "set a timer");
    }

    void hurry() noexcept { hurried_ = true; }

    [[nodiscard]] int fd() const noexcept override { return all_.get(); }

    void hear() override {
        control_.read_signals(*service_);
        if (std::uint64_t times = 0; ::read(deadline_.get(), &times, sizeof times) == sizeof times) service_->hurry();
        const int channel = control_.channel_fd();
        if (channel < 0 || control_.read_orders(*service_)) return;
        ::epoll_ctl(all_.get(), EPOLL_CTL_DEL, channel, nullptr);  // its end would be heard for ever
        reactor_.forget(channel);
    }

    void before_first_wait() override { service_->reception().about_to_block(); }

    [[nodiscard]] bool hurried() const noexcept override { return hurried_; }

private:
    void listen_to(int fd) {
        epoll_event wanted{};
        wanted.events = EPOLLIN;
        check(::epoll_ctl(all_.get(), EPOLL_CTL_ADD, fd, &wanted), "watch a descriptor");
    }

    Control& control_;
    Reactor& reactor_;
    WorkerService* service_ = nullptr;
    UniqueFd all_;  // poll(2) beside the client takes one
    UniqueFd deadline_;
    bool hurried_ = false;
};

bool some_handler_blocks(const WorkerPlan& plan) {
    return std::ranges::any_of(plan.listeners, [&](const Listener& listener) {
        return !is_datagram(listener.local.transport) &&
               !plan.handlers.find(handler_of(listener.settings, plan.settings))->make_stream;
    });
}

int serve_blocking(const WorkerPlan& plan, WorkerSeat& seat, Control& control, const std::function<void()>& ready) {
    EpollReactor reactor;
    LingerRing linger{reactor, plan.parked};
    HandlerSet handlers{plan};
    Ear ear{control, reactor};
    WorkerService service{plan,
                          seat,
                          control,
                          reactor,
                          {.drain = [&](auto patience) { ear.set_deadline(patience); },
                           .hurry = [&] { ear.hurry(); },
                           .awake =
                               [&] {
                                   linger.glance();
                                   let_handlers_act(handlers);
                               },
                           .finish =
                               [&](auto done) {
                                   dismiss_handlers(handlers);
                                   linger.when_empty(last_linger_limit, std::move(done));
                               }}};
    ear.attach(service);
    Reception& reception = service.reception();
    const ServeHere here{.idle_timeout = plan.settings.idle_timeout,
                         .request_timeout = plan.settings.request_timeout,
                         .stop = ear,
                         .record = seat.record};
    service.add_listeners([&](const Listener& listener) -> Reception::Take {
        const LogConnections log_connections = plan.settings.log_connections;
        if (is_datagram(listener.local.transport))
            return receive_one_by_one(listener, logs_begin(log_connections), reception,
                                      [&, handler = handlers.datagram_handler(listener)](ReceivedDatagram datagram) {
                                          serve_datagram_here(handler, std::move(datagram), here);
                                          reception.ended();
                                      });
        return accept_streams(listener, log_connections, reception,
                              [&, handler = handlers.stream_handler(listener)](AcceptedStream stream) {
                                  const auto patience = stream.linger;
                                  ServedStream served = serve_here(handler, std::move(stream), here);
                                  linger.finish(std::move(served.fd), patience, served.output_ended);
                                  reception.ended();
                              });
    });
    start_handlers(handlers);
    service.serve(ready);
    return 0;
}

}  // namespace

// A coroutine handler needs no blocking read to be served one after the other: a limit of one connection is enough,
// and the worker still hears its master while it waits for a slow client.
int serve_serial(const WorkerPlan& plan, WorkerSeat& seat, Control& control, std::function<void()> ready) {
    WorkerPlan one_at_a_time = plan;
    one_at_a_time.connections = 1;
    if (some_handler_blocks(plan)) return serve_blocking(one_at_a_time, seat, control, ready);
    return serve_async(one_at_a_time, seat, control, std::move(ready));
}

}  // namespace preforkd
