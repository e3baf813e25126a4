#include "daemon/worker/loop/epoll_reactor.hpp"
#include "daemon/worker/model/serve_model.hpp"
#include "daemon/worker/program/program_copy.hpp"
#include "daemon/worker/program/program_launch.hpp"

namespace preforkd {

int serve_copy(const WorkerPlan& plan, WorkerHandoff& handoff, WorkerControl& control, std::function<void()> ready) {
    (void)find_program(plan.program_files.at(plan.settings.program.front()));  // as the user that we are now
    if (plan.rehearsal) {                                                      // a copy would take clients
        ready();
        return 0;
    }
    EpollReactor reactor;
    ProgramCopy copy{plan, handoff, control, reactor};
    return copy.run(std::move(ready));
}

}  // namespace preforkd
