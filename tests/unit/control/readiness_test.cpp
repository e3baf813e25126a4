#include "common/control/readiness.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

StatusReport report(const std::string& phase, const std::vector<std::string>& workers) {
    StatusReport report{.phase = phase};
    for (const auto& state : workers) report.workers.push_back({.state = state});
    return report;
}

TEST(Readiness, a_running_daemon_with_a_worker_is_ready_however_busy_that_is) {
    for (const char* state : {"idle", "busy", "waiting", "retiring"})
        EXPECT_EQ(why_not_ready(report("running", {"starting", state})), std::nullopt) << state;
}

TEST(Readiness, a_daemon_that_starts_or_leaves_is_not_although_its_workers_serve) {
    for (const std::string phase : {"starting", "withdrawing", "draining", "killing"})
        EXPECT_EQ(why_not_ready(report(phase, {"idle"})), "not ready: " + phase);
}

TEST(Readiness, a_daemon_whose_workers_are_all_dead_or_new_is_not) {
    EXPECT_EQ(why_not_ready(report("running", {})), "not ready: no worker serves");
    EXPECT_EQ(why_not_ready(report("running", {"starting", "leaving"})), "not ready: no worker serves");
}

TEST(Readiness, a_daemon_that_no_client_finds_at_one_of_its_listeners_is_not) {
    StatusReport two = report("running", {"idle"});
    two.listeners = {{.endpoint = "tcp://:7"}, {.endpoint = "unix:///run/x.sock", .lost = true}};
    EXPECT_EQ(why_not_ready(two), "not ready: the socket file of unix:///run/x.sock was removed or replaced");
    two.listeners.pop_back();
    EXPECT_EQ(why_not_ready(two), std::nullopt);
}

}  // namespace
}  // namespace preforkd
