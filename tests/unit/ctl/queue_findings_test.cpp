#include "daemon/ctl/queue_findings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "tests/unit/ctl/healthy_service.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(QueueFindings, clients_that_still_wait_are_told_with_for_how_long_and_why) {
    const auto busy = [](StatusReport& before, StatusReport& now) {
        before.listeners[0].queue.queued = 30;
        now.listeners[0].queue.queued = 37;
        now.listeners[0].counts->accepted = 4;
        for (int i = 0; i < 4; ++i) now.listeners[0].counts->accept_wait.add(2s);
        occupy(now, "busy", "busy");
        now.connections = 0;
    };
    const Finding finding = only_finding(busy);
    EXPECT_EQ(finding.harm, Harm::Wait);
    EXPECT_EQ(
        sentence_of(finding),
        "listener tcp://:443: 37 clients wait in its queue of 511, the first of them for more than 1.0 s, because "
        "all 2 workers are busy in handlers; of those accepted within 1.0 s 4 were timed: up to 2.5 s in the "
        "queue; raise --workers, or serve several at once with --model thread");
}

TEST(QueueFindings, one_client_is_told_in_the_singular) {
    const Finding finding = only_finding([](StatusReport& before, StatusReport& now) {
        before.listeners[0].queue.queued = now.listeners[0].queue.queued = 1;
        occupy(now, "busy", "busy");
        now.connections = 0;
    });
    EXPECT_THAT(finding.limit, HasSubstr("1 client waits in its queue of 511 for more than 1.0 s, because"));
}

TEST(QueueFindings, a_queue_that_moves_on_is_no_fault) {
    EXPECT_THAT(found_after([](StatusReport& before, StatusReport& now) {
                    before.listeners[0].queue.queued = 3;
                    now.listeners[0].queue.queued = 5;
                    now.listeners[0].counts->accepted = 3;
                    now.listeners[0].counts->accept_wait.add(100ms);
                }),
                IsEmpty());
}

TEST(QueueFindings, half_a_queue_is_one_and_so_is_a_long_wait_that_is_over) {
    EXPECT_THAT(only_finding([](StatusReport&, StatusReport& now) {
                    now.listeners[0].queue = {256, 511, false};
                }).limit,
                HasSubstr("256 clients wait in its queue of 511, although workers have capacity now"));
    const Finding over =
        only_finding([](StatusReport&, StatusReport& now) { now.listeners[0].counts->accept_wait.add(101ms); });
    EXPECT_EQ(over.limit,
              "of the clients accepted within 1.0 s 1 was timed: up to 250 ms in the queue; now nobody waits, "
              "and workers have capacity");
}

struct WhyTheyWait {
    const char* name;
    std::function<void(StatusReport& now)> change;
    const char* because;
    const char* remedy;
};

class QueueFindingsWhy : public testing::TestWithParam<WhyTheyWait> {};

TEST_P(QueueFindingsWhy, is_told_with_what_helps) {
    const WhyTheyWait& how = GetParam();
    const std::vector<Finding> found = found_after([&](StatusReport& before, StatusReport& now) {
        before.listeners[0].queue.queued = now.listeners[0].queue.queued = 2;
        how.change(now);
    });
    const auto waiting =
        std::ranges::find_if(found, [](const Finding& each) { return each.limit.starts_with("2 clients wait"); });
    ASSERT_NE(waiting, found.end());
    EXPECT_THAT(waiting->limit, HasSubstr(std::string{", because "} + how.because));
    EXPECT_EQ(waiting->remedy, how.remedy);
}

INSTANTIATE_TEST_SUITE_P(
    All, QueueFindingsWhy,
    testing::Values(
        WhyTheyWait{"slow_clients", [](StatusReport& now) { occupy(now, "busy", "waiting"); },
                    "all 2 workers have a client, and wait for 1 of these",
                    "raise --workers, or serve several at once with --model thread, or lower --idle-timeout"},
        WhyTheyWait{"connections",
                    [](StatusReport& now) {
                        occupy(now, "busy", "waiting");
                        now.model = "thread";
                        now.connection_slots = 80;
                        for (WorkerStatus& each : now.workers) each.connections = 40;
                    },
                    "all 2 workers have each the 40 connections that --connections allows",
                    "raise --connections or --workers, or lower --idle-timeout"},
        WhyTheyWait{"open_files",
                    [](StatusReport& now) {
                        occupy(now, "waiting", "waiting");
                        now.model = "async";
                        now.connection_slots = 10;
                        now.connection_slots_asked = 600;
                        for (WorkerStatus& each : now.workers) each.connections = 5;
                    },
                    "all 2 workers have each the 5 connections that open files allow (RLIMIT_NOFILE), of the 300 that "
                    "--connections asks for",
                    "raise RLIMIT_NOFILE (systemd: LimitNOFILE=) or --workers, or lower --idle-timeout"},
        WhyTheyWait{"many_programs",
                    [](StatusReport& now) {
                        occupy(now, "waiting", "waiting");
                        now.model = "fork";
                        now.connection_slots = now.connection_slots_asked = 80;
                        for (WorkerStatus& each : now.workers) each.connections = 40;
                        now.listeners[0].counts_traffic = false;
                    },
                    "all 2 workers have each the 40 connections that --connections allows",
                    "raise --connections or --workers"},
        WhyTheyWait{"a_service",
                    [](StatusReport& now) {
                        occupy(now, "waiting", "idle");
                        now.model = "async";
                        now.connection_slots = 1026;
                        now.workers[0].service = now.listeners[0].endpoint;
                        now.workers[0].connection_slots = now.workers[0].connections = 2;
                        now.workers[1].connections = 0;
                    },
                    "the only worker has the 2 connections that connections= of the listener allows",
                    "raise its workers= or connections="},
        WhyTheyWait{"programs",
                    [](StatusReport& now) {
                        occupy(now, "waiting", "waiting");
                        now.listeners[0].counts_traffic = false;
                    },
                    "all 2 workers have a client, whose programs run",
                    "raise --workers, or serve several at once with --model fork"},
        WhyTheyWait{"blocking_handlers",
                    [](StatusReport& now) {
                        occupy(now, "busy", "busy");
                        now.model = "async";
                        now.connection_slots = 2048;
                    },
                    "all 2 workers are busy in handlers",
                    "raise --workers, or have a handler that blocks run with --model thread"},
        WhyTheyWait{"the_pool_grows",
                    [](StatusReport& now) {
                        occupy(now, "busy", "busy");
                        now.workers_max = 8;
                    },
                    "all 2 workers are busy in handlers", "the pool grows, up to the 8 that --workers allows"},
        WhyTheyWait{"max", [](StatusReport& now) { now.listeners[0].limits = LimitedClients{.max = 9, .clients = 9}; },
                    "it has all 9 clients that its max= allows", "raise max= of the listener"},
        WhyTheyWait{"no_workers", [](StatusReport& now) { now.workers[0].state = now.workers[1].state = "stopped"; },
                    "no worker serves", "the log says why"},
        WhyTheyWait{"processors",
                    [](StatusReport& now) {
                        now.processors = 1;
                        now.workers[0].used.cpu = 930ms;
                    },
                    "workers use 0.93 of the 1 processor that they may",
                    "give it more processors (systemd: CPUQuota=, AllowedCPUs=), or have handlers do less"}),
    [](const auto& each) { return std::string{each.param.name}; });

}  // namespace
}  // namespace preforkd
