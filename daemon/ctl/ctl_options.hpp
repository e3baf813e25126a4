#pragma once
// What a command line asks for.  Both throw std::invalid_argument with one sentence that names what is wrong and what
// to write instead.
#include "daemon/ctl/command_line.hpp"
#include "daemon/ctl/control_order.hpp"
#include "daemon/ctl/send.hpp"

namespace preforkd {

/// Of `preforkctl send`.
[[nodiscard]] SendRequest read_send_request(const CommandLine& line);

/// What the daemon is asked for over its control socket.
[[nodiscard]] ControlOrder read_control_order(const CommandLine& line);

}  // namespace preforkd
