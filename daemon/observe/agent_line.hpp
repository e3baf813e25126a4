#pragma once
#include <string>

#include "common/control/snapshot.hpp"

namespace preforkd {

/// The line that answers HAProxy's agent-check.  States stay as they are until another is said, so it always says all:
/// the administrative one and the operational one.  The weight is the part of the places for connections that are free,
/// never below 1 %, since nobody is sent to a weight of 0.  `snapshot` null: the master does not answer.  Pure.
/// Source: HAProxy's configuration manual, 5.2, agent-check.
[[nodiscard]] std::string agent_line(const Snapshot* snapshot);

}  // namespace preforkd
