#include "daemon/ctl/looks.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

HistogramCounts one_of(std::chrono::nanoseconds duration) {
    HistogramCounts histogram;
    histogram.add(duration);
    return histogram;
}

Looks two_looks() {
    Looks looks{.before = {.pid = 7, .uptime = 10s}, .now = {.pid = 7, .uptime = 12s}, .between = 2s};
    looks.before.listeners = {{.endpoint = "tcp://:1",
                               .queue = {.queued = 3},
                               .refused = RefusedClients{.rate = 1},
                               .counts = ListenerCounts{.accepted = 5, .accept_wait = one_of(1ms)},
                               .dropped = 2}};
    looks.now.listeners = looks.before.listeners;
    looks.now.listeners[0].counts->accepted = 9;
    looks.now.listeners[0].counts->accept_wait.add(2s);
    looks.now.listeners[0].dropped = 7;
    looks.now.listeners[0].refused->rate = 4;
    looks.before.workers = {{.number = 1, .pid = 8, .used = {.cpu = 500ms}},
                            {.number = 2, .pid = 9, .used = {.cpu = 3s}}};
    looks.now.workers = {{.number = 1, .pid = 8, .used = {.cpu = 1500ms}},
                         {.number = 2, .pid = 10, .used = {.cpu = 100ms}}};
    looks.now.counts.cpu = 3100ms;  // that of pid 9 among it
    return looks;
}

TEST(Looks, what_was_counted_before_is_not_counted_again) {
    const Looks looks = two_looks();
    const ListenerChange change = change_of(looks.now.listeners[0], looks);
    EXPECT_EQ(change.counts.accepted, 4U);
    EXPECT_EQ(change.counts.accept_wait, one_of(2s));
    EXPECT_EQ(change.dropped, 5U);
    EXPECT_EQ(change.refused.rate, 3U);
    EXPECT_EQ(change.queued_before, 3U);
    EXPECT_EQ(rate_of(change.counts.accepted, looks), 2.0);
    EXPECT_EQ(change_of_listeners(looks).accepted, 4U);
}

TEST(Looks, of_a_listener_that_is_new_all_is) {
    Looks looks = two_looks();
    looks.before.listeners.clear();
    EXPECT_EQ(change_of(looks.now.listeners[0], looks).counts.accepted, 9U);
    EXPECT_EQ(change_of(looks.now.listeners[0], looks).dropped, 7U);
}

TEST(Looks, processors_are_those_of_the_living_and_the_dead) {
    const Looks looks = two_looks();
    EXPECT_DOUBLE_EQ(processors_of(looks.now.workers[0], looks), 0.5);
    EXPECT_DOUBLE_EQ(processors_of(looks.now.workers[1], looks), 0.05);
    // (3.1 + 1.5 + 0.1) - (0.5 + 3) s within 2 s
    EXPECT_DOUBLE_EQ(processors_of_all(looks), 0.6);
    EXPECT_DOUBLE_EQ(processors_of_all({.now = looks.now}), 0) << "without time there is no rate";
}

TEST(Looks, only_one_daemon_counts_on) {
    Looks looks = two_looks();
    EXPECT_TRUE(counts_on(looks.now, looks.before));
    looks.now.uptime = 1s;  // in a container, each of them is pid 1
    EXPECT_FALSE(counts_on(looks.now, looks.before));
    looks = two_looks();
    looks.now.pid = 8;
    EXPECT_FALSE(counts_on(looks.now, looks.before));
}

TEST(Looks, a_worker_that_leaves_or_is_stopped_is_not_ready) {
    StatusReport report;
    for (const char* state : {"starting", "idle", "busy", "waiting", "retiring", "leaving", "hung", "stopped"})
        report.workers.push_back({.state = state});
    EXPECT_EQ(ready_workers(report), 4U);
}

}  // namespace
}  // namespace preforkd
