#pragma once
#include "daemon/ctl/command_line.hpp"
#include "daemon/ctl/send.hpp"

namespace preforkd {

/// What `preforkctl send` is asked for.  Throws std::invalid_argument with one sentence that names what is wrong and
/// what to write instead.
[[nodiscard]] SendRequest read_send_request(const CommandLine& line);

}  // namespace preforkd
