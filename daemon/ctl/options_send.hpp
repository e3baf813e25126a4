#pragma once
#include <string>
#include <vector>

#include "daemon/ctl/send.hpp"

namespace preforkd {

/// Reads what follows `preforkctl send`.  Throws std::invalid_argument with one sentence that names what is wrong and
/// what to write instead.
[[nodiscard]] SendRequest read_send_options(const std::vector<std::string>& arguments);

}  // namespace preforkd
