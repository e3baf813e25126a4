#include <stdexcept>

#include "daemon/model/model.hpp"

namespace preforkd {

int serve_program(const WorkerPlan&, WorkerSeat&, Control&, std::function<void()>) {
    throw std::runtime_error{"--model: program is not built yet"};
}

}  // namespace preforkd
