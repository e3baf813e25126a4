#pragma once
// What is found in a service after something has changed in it between two looks.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <vector>

#include "daemon/ctl/findings.hpp"

namespace preforkd {

inline constexpr std::chrono::sys_seconds today{std::chrono::seconds{1'800'000'000}};

/// A service with two workers, which serve one after the other, one listener and nothing to complain of.
inline StatusReport healthy() {
    return {.pid = 7,
            .phase = "running",
            .uptime = std::chrono::minutes{1},
            .workers_wanted = 2,
            .workers_min = 2,
            .workers_max = 2,
            .model = "serial",
            .processors = 4,
            .connection_slots = 2,
            .listeners = {{.endpoint = "tcp://:443",
                           .queue = {.queued = 0, .limit = 511},
                           .counts = ListenerCounts{},
                           .dropped = 0}},
            .workers = {{.number = 1, .pid = 8, .state = "idle", .used = {.cpu = std::chrono::milliseconds{0}}},
                        {.number = 2, .pid = 9, .state = "idle", .used = {.cpu = std::chrono::milliseconds{0}}}}};
}

using Change = std::function<void(StatusReport& before, StatusReport& now)>;

inline std::vector<Finding> found_after(const Change& change) {
    Looks looks{.before = healthy(), .now = healthy(), .between = std::chrono::seconds{1}};
    looks.now.uptime += std::chrono::seconds{1};
    change(looks.before, looks.now);
    return findings_of(looks, today);
}

/// The only one.
inline Finding only_finding(const Change& change) {
    const std::vector<Finding> found = found_after(change);
    EXPECT_EQ(found.size(), 1U);
    return found.empty() ? Finding{} : found.front();
}

/// Both workers have a client, of whom one is computed for and one is waited for, say.
inline void occupy(StatusReport& report, const char* one, const char* other) {
    report.workers[0].state = one;
    report.workers[1].state = other;
    for (WorkerStatus& each : report.workers) each.connections = 1;
    report.connections = 2;
}

}  // namespace preforkd
