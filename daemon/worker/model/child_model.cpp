#include "daemon/worker/model/child_model.hpp"

#include <utility>

#include "daemon/worker/accept/worker_frame.hpp"
#include "daemon/worker/handler/handler_hooks.hpp"
#include "daemon/worker/loop/epoll_reactor.hpp"

namespace preforkd {

int serve_with_children(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control,
                        const std::function<void()>& ready, ChildCrew::Strangers strangers, const TakeFor& take_for) {
    EpollReactor reactor;
    ChildCrew crew{reactor,
                   handoff.record,
                   {.limit = plan.connections,
                    .parked = plan.parked,
                    .strangers = strangers,
                    .request_timeout = plan.settings.request_timeout}};
    const ServiceShares shares{std::move(handoff.shared), handoff.generation};
    WorkerCore core{
        {.number = handoff.number, .generation = handoff.generation, .model = Model::Fork}, nullptr, &shares};
    HandlerSet handlers{plan};
    StderrRate stderr_rate{reactor, plan.settings.stderr_rate};
    WorkerFrame frame{plan,
                      handoff,
                      control,
                      reactor,
                      {.drain =
                           [&](auto) {
                               crew.drain();
                               tell_of_drain(handlers, core);
                           },
                       .hurry = [&] { crew.hurry(); },
                       .awake =
                           [&] {
                               crew.awake();
                               let_handlers_act(handlers);
                           },
                       .finish =
                           [&](auto done) {
                               stderr_rate.say_dropped();
                               dismiss_handlers(handlers);
                               crew.finish(std::move(done));
                           }}};
    ChildModel model{.plan = plan,
                     .reactor = reactor,
                     .crew = crew,
                     .handlers = handlers,
                     .acceptor = frame.acceptor(),
                     .stderr_rate = stderr_rate};
    frame.add_listeners([&](const Listener& listener) { return crew.bounded(take_for(listener, model)); });
    start_handlers(handlers, core);
    frame.serve(ready);
    return 0;
}

}  // namespace preforkd
