#pragma once
// One question to several daemons.
#include <vector>

#include "daemon/ctl/control_order.hpp"
#include "daemon/ctl/find_daemons.hpp"

namespace preforkd {

/// The one that is meant.  Throws std::runtime_error with one sentence that says how to name it, where there are
/// several.
[[nodiscard]] Endpoint the_daemon_of(const ControlOrder& order);

/// `status` and `ready` are answered by each of them, a line each; what changes something, or says more, is for one.
/// Throws std::runtime_error with one sentence: that one must be named, or that not all have answered as they should.
void ask_several(const ControlOrder& order, const std::vector<FoundDaemon>& daemons);

}  // namespace preforkd
