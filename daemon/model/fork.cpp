#include <stdexcept>

#include "daemon/model/model.hpp"

namespace preforkd {

int serve_fork(const WorkerPlan&, WorkerSeat&, Control&, std::function<void()>) {
    throw std::runtime_error{"--model: fork is not built yet"};
}

}  // namespace preforkd
