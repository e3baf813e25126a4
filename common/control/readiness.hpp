#pragma once
// Whether a daemon wants to be sent clients: what a readiness probe asks.  Pure.
#include <algorithm>
#include <optional>
#include <string>

#include "common/control/status_report.hpp"

namespace preforkd {

/// nullopt when it is ready.  A daemon that still serves while it withdraws (--drain-delay) is not: that is what the
/// delay is for.
[[nodiscard]] inline std::optional<std::string> why_not_ready(const StatusReport& report) {
    if (report.phase != "running") return "not ready: " + report.phase;
    const auto serves = [](const WorkerStatus& worker) {
        return worker.state != "starting" && worker.state != "leaving";
    };
    if (std::ranges::none_of(report.workers, serves)) return "not ready: no worker serves";
    const auto lost = std::ranges::find_if(report.listeners, &ListenerStatus::lost);
    if (lost != report.listeners.end())
        return "not ready: the socket file of " + lost->endpoint + " was removed or replaced";
    return std::nullopt;
}

}  // namespace preforkd
