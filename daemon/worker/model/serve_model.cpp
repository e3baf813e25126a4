#include "daemon/worker/model/serve_model.hpp"

namespace preforkd {

int serve_model(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control, std::function<void()> ready) {
    if (runs_copies(plan.settings)) return serve_copy(plan, handoff, control, std::move(ready));
    if (starts_programs(plan.settings)) return serve_program(plan, handoff, control, std::move(ready));
    switch (plan.model) {
        case Model::Async: return serve_async(plan, handoff, control, std::move(ready));
        case Model::Serial: return serve_serial(plan, handoff, control, std::move(ready));
        case Model::Thread: return serve_thread(plan, handoff, control, std::move(ready));
        case Model::Fork: return serve_fork(plan, handoff, control, std::move(ready));
    }
    return 0;
}

}  // namespace preforkd
