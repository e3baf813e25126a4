#pragma once
// preforkctl top: a daemon at work, as it goes on.
#include "daemon/ctl/control_order.hpp"

namespace preforkd {

/// On the terminal, until q or Ctrl-C or so many looks; with order.batch one below the other, until the daemon stops.
/// Throws std::invalid_argument where there is no terminal, and as control() does.
void top(const ControlOrder& order);

}  // namespace preforkd
