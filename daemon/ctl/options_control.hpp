#pragma once
#include "daemon/ctl/command_line.hpp"
#include "daemon/ctl/control_order.hpp"

namespace preforkd {

/// What the daemon is asked for over its control socket.  Throws std::invalid_argument with one sentence that names
/// what is wrong and what to write instead.
[[nodiscard]] ControlOrder read_control_order(const CommandLine& line);

}  // namespace preforkd
