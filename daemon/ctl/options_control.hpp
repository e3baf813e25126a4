#pragma once
#include <string>
#include <vector>

#include "daemon/ctl/control.hpp"

namespace preforkd {

/// Reads `preforkctl COMMAND ...` of every command that the daemon's control socket knows.  Throws
/// std::invalid_argument with one sentence that names what is wrong and what to write instead.
[[nodiscard]] ControlOrder read_control_options(const std::vector<std::string>& arguments);

}  // namespace preforkd
