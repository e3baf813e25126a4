#include "daemon/model/model.hpp"

#include <stdexcept>

namespace preforkd {

int serve_model(const WorkerPlan& plan, WorkerSeat& seat, Control& control, std::function<void()> ready) {
    switch (plan.model) {
        case Model::Async: return serve_async(plan, seat, control, std::move(ready));
        case Model::Serial: return serve_serial(plan, seat, control, std::move(ready));
        case Model::Thread:
        case Model::Fork: break;
    }
    throw std::logic_error{"a model that the settings check lets through has no room"};
}

}  // namespace preforkd
