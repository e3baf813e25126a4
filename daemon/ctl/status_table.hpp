#pragma once
// What preforkctl prints for people.  Pure.
#include <cstddef>
#include <string>
#include <vector>

#include "common/control/death_report.hpp"
#include "common/control/sources_report.hpp"
#include "common/control/status_report.hpp"

namespace preforkd {

/// `columns`: the width of the terminal, to which the last column is cut; 0: none, nothing is cut.
[[nodiscard]] std::string status_text(const StatusReport& report, std::size_t columns);
[[nodiscard]] std::string sources_text(const std::vector<ListenerSources>& listeners, std::size_t columns);
[[nodiscard]] std::string deaths_text(const DeathRing& deaths, std::size_t columns);

struct NamedStatus {
    std::string name{};
    std::string control{};  ///< an endpoint
    StatusReport report{};
};
/// A line for each of several daemons.
[[nodiscard]] std::string status_text(const std::vector<NamedStatus>& daemons, std::size_t columns);

}  // namespace preforkd
