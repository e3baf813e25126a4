#include <utility>

#include "daemon/worker/accept/worker_frame.hpp"
#include "daemon/worker/datagram/datagram_batch.hpp"
#include "daemon/worker/handler/bus_watch.hpp"
#include "daemon/worker/handler/handler_hooks.hpp"
#include "daemon/worker/handler/handler_set.hpp"
#include "daemon/worker/loop/loop.hpp"
#include "daemon/worker/model/serve_model.hpp"
#include "daemon/worker/stream/coroutine_stream.hpp"

namespace preforkd {

namespace {

/// At a fast stop coroutines are left that wait for something else than their client.  They end before what they were
/// given: their handler, whom their local variables may refer to, the acceptor that counts them.  And after the threads
/// that would resume them.
class EndOfCoroutines {
public:
    EndOfCoroutines(Loop& loop, WorkerCore& core) noexcept : loop_{loop}, core_{core} {}
    ~EndOfCoroutines() {
        core_.end();
        loop_.reactor.context.end();
    }
    EndOfCoroutines(const EndOfCoroutines&) = delete;
    EndOfCoroutines& operator=(const EndOfCoroutines&) = delete;

private:
    Loop& loop_;
    WorkerCore& core_;
};

}  // namespace

int serve_async(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control, std::function<void()> ready) {
    Loop loop{handoff.record, plan.settings.idle_timeout, plan.parked};
    loop.request_timeout = plan.settings.request_timeout;
    loop.wide_pipes = std::move(handoff.wide_pipes);
    const ServiceShares shares{std::move(handoff.shared), handoff.generation};
    const BusWatch bus{shares, handoff.record, loop.reactor};
    WorkerCore core{{.number = handoff.number,
                     .generation = handoff.generation,
                     .model = plan.model,
                     .lifeline = control.lifeline()},
                    &loop.reactor.context,
                    &shares};
    HandlerSet handlers{plan};
    DatagramBatches datagrams;
    WorkerFrame frame{plan,
                      handoff,
                      control,
                      loop.reactor,
                      {.drain =
                           [&](auto) {
                               loop.drain();
                               tell_of_drain(handlers, core);
                           },
                       .hurry =
                           [&] {
                               core.hurry();
                               loop.waits.cancel_all();
                           },
                       .awake =
                           [&] {
                               loop.linger.glance();
                               let_handlers_act(handlers);
                           },
                       .finish =
                           [&](auto done) {
                               core.end_tasks([&, done = std::move(done)]() mutable {
                                   dismiss_handlers(handlers);
                                   loop.linger.when_empty(last_linger_limit, std::move(done));
                               });
                           }}};
    const EndOfCoroutines end_of_coroutines{loop, core};
    frame.add_listeners([&](const Listener& listener) {
        if (is_datagram(listener.local.transport))
            return datagrams.receive(datagram_inlet(plan, listener, frame.acceptor()),
                                     handlers.datagram_handler(listener), loop);
        StreamHandler& handler = *std::get<StreamHandler*>(handlers.stream_handler(listener));
        return accept_streams(listener, plan.settings, frame.acceptor(),
                              [&](AcceptedStream stream) { start_coroutine(loop, handler, std::move(stream)); });
    });
    start_handlers(handlers, core);
    frame.serve(ready);
    return 0;
}

}  // namespace preforkd
