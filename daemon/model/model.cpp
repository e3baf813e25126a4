#include "daemon/model/model.hpp"

namespace preforkd {

int serve_model(const WorkerPlan& plan, WorkerSeat& seat, Control& control, std::function<void()> ready) {
    if (!plan.settings.program.empty()) return serve_program(plan, seat, control, std::move(ready));
    switch (plan.model) {
        case Model::Async: return serve_async(plan, seat, control, std::move(ready));
        case Model::Serial: return serve_serial(plan, seat, control, std::move(ready));
        case Model::Thread: return serve_thread(plan, seat, control, std::move(ready));
        case Model::Fork: return serve_fork(plan, seat, control, std::move(ready));
    }
    return 0;
}

}  // namespace preforkd
