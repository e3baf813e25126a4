#pragma once
// What the master tells the process that observes: one line, with all that there is.
#include <optional>
#include <string>
#include <string_view>

#include "common/control/death_report.hpp"
#include "common/control/status_report.hpp"

namespace preforkd {

struct Snapshot {
    std::optional<std::string> why_not_ready{};  ///< nullopt: it wants to be sent clients
    StatusReport status{};
    DeathRing deaths{};
};

/// Takes out who the clients are and what errors say: not everybody who may look at numbers is to read that.
void leave_details_out(Snapshot& snapshot);

/// JSON, without a line break.
[[nodiscard]] std::string to_json(const Snapshot& snapshot);

/// As parse_status().
[[nodiscard]] Snapshot parse_snapshot(std::string_view json);

}  // namespace preforkd
