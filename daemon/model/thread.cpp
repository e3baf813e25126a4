#include <stdexcept>

#include "daemon/model/model.hpp"

namespace preforkd {

int serve_thread(const WorkerPlan&, WorkerSeat&, Control&, std::function<void()>) {
    throw std::runtime_error{"--model: thread is not built yet"};
}

}  // namespace preforkd
