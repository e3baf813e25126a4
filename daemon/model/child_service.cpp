#include "daemon/model/child_service.hpp"

#include "daemon/model/handler_hooks.hpp"
#include "daemon/worker/epoll_reactor.hpp"
#include "daemon/worker/worker_service.hpp"

namespace preforkd {

int serve_with_children(const WorkerPlan& plan, WorkerSeat& seat, Control& control, const std::function<void()>& ready,
                        ChildCrew::Strangers strangers, const TakeFor& take_for) {
    EpollReactor reactor;
    ChildCrew crew{reactor,
                   seat.record,
                   {.limit = plan.connections,
                    .parked = plan.parked,
                    .strangers = strangers,
                    .request_timeout = plan.settings.request_timeout}};
    HandlerSet handlers{plan};
    WorkerService frame{plan,
                        seat,
                        control,
                        reactor,
                        {.drain = [&](auto) { crew.drain(); },
                         .hurry = [&] { crew.hurry(); },
                         .awake =
                             [&] {
                                 crew.awake();
                                 let_handlers_act(handlers);
                             },
                         .finish =
                             [&](auto done) {
                                 dismiss_handlers(handlers);
                                 crew.finish(std::move(done));
                             }}};
    ChildService service{
        .plan = plan, .reactor = reactor, .crew = crew, .handlers = handlers, .reception = frame.reception()};
    frame.add_listeners([&](const Listener& listener) { return crew.bounded(take_for(listener, service)); });
    start_handlers(handlers);
    frame.serve(ready);
    return 0;
}

}  // namespace preforkd
