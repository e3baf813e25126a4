#include "daemon/model/model.hpp"

namespace preforkd {

// A coroutine handler needs no blocking read to be served one after the other: a limit of one connection is enough,
// and the worker still hears its master while it waits for a slow client.
int serve_serial(const WorkerPlan& plan, WorkerSeat& seat, Control& control, std::function<void()> ready) {
    WorkerPlan one_at_a_time = plan;
    one_at_a_time.connections = 1;
    return serve_async(one_at_a_time, seat, control, std::move(ready));
}

}  // namespace preforkd
