#pragma once
// preforkctl explain: what limits the service, in sentences.
#include "daemon/ctl/control_order.hpp"

namespace preforkd {

/// Looks twice, prints, and returns whether nothing limits the service now.  Throws as control() does.
[[nodiscard]] bool explain(const ControlOrder& order);

}  // namespace preforkd
