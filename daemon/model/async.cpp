#include "daemon/model/handler_hooks.hpp"
#include "daemon/model/model.hpp"
#include "daemon/worker/coroutine_stream.hpp"
#include "daemon/worker/datagram_batch.hpp"
#include "daemon/worker/handler_set.hpp"
#include "daemon/worker/loop.hpp"
#include "daemon/worker/worker_service.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {
constexpr auto last_linger_limit = 500ms;  // for clients that have their answer and do not close
}

int serve_async(const WorkerPlan& plan, WorkerSeat& seat, Control& control, std::function<void()> ready) {
    Loop loop{seat.record, plan.settings.idle_timeout, plan.parked};
    loop.request_timeout = plan.settings.request_timeout;
    HandlerSet handlers{plan};
    DatagramBatches datagrams;
    WorkerService service{plan,
                          seat,
                          control,
                          loop.reactor,
                          {.drain = [&](auto) { loop.draining = true; },
                           .hurry = [&] { loop.waits.cancel_all(); },
                           .awake =
                               [&] {
                                   loop.linger.glance();
                                   let_handlers_act(handlers);
                               },
                           .finish =
                               [&](auto done) {
                                   dismiss_handlers(handlers);
                                   loop.linger.when_empty(last_linger_limit, std::move(done));
                               }}};
    service.add_listeners([&](const Listener& listener) {
        if (is_datagram(listener.local.transport))
            return datagrams.receive({.listener = listener,
                                      .log_connections = logs_begin(plan.settings.log_connections),
                                      .reception = service.reception(),
                                      .limit = plan.connections},
                                     handlers.datagram_handler(listener), loop);
        StreamHandler& handler = *std::get<StreamHandler*>(handlers.stream_handler(listener));
        return accept_streams(listener, plan.settings.log_connections, service.reception(), [&](AcceptedStream stream) {
            start_coroutine(loop, handler, std::move(stream), service.reception());
        });
    });
    start_handlers(handlers);
    service.serve(ready);
    return 0;
}

}  // namespace preforkd
