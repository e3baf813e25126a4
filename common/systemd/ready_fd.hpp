#pragma once
// --ready-fd: how a test, a script or s6 learns that we serve, and where.
#include <optional>
#include <vector>

#include "common/net/listener.hpp"

namespace preforkd {

/// Takes over the descriptor of --ready-fd.  Throws OperatorError when it is not open.
[[nodiscard]] UniqueFd take_ready_fd(std::optional<int> number);

/// Writes the endpoints of `listeners`, one a line, and closes `fd`.  A reader that has gone is no error.
void announce_ready(UniqueFd fd, const std::vector<Listener>& listeners) noexcept;

}  // namespace preforkd
