#include "common/control/status_report.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "common/control/death_report.hpp"
#include "common/control/sources_report.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

StatusReport some_report() {
    return {.version = "1.2.3",
            .pid = 17,
            .phase = "running",
            .uptime = 90'061'234ms,
            .generation = 3,
            .workers_wanted = 2,
            .model = "serial",
            .processors = 4,
            .connection_slots = 6,
            .connection_slots_asked = 60,
            .connections = 5,
            .accepted = 18'446'744'073'709'551'615U,
            .served = 90,
            .replaced = 1,
            .dropped_log_lines = 2,
            .reload_failure = "--listen tcp://:80: in use",
            .key_process = KeyProcessStatus{.pid = 20, .user = 61'184, .has_own_user = true},
            .listeners = {{.endpoint = "tcp://:80",
                           .handler = "echo",
                           .passed = true,
                           .queue = {.queued = 3, .limit = 511},
                           .queues = 8,
                           .limits = LimitedClients{.max = 9, .clients = 2, .rate = 5},
                           .refused = RefusedClients{.denied = 1, .per_source = 2, .rate = 3},
                           .counts = ListenerCounts{.accepted = 7,
                                                    .received_bytes = 8,
                                                    .sent_bytes = 9,
                                                    .closed = {1, 2, 3, 4, 5, 6, 7},
                                                    .duration = {.buckets = {1, 2, 3}, .sum_us = 4},
                                                    .accept_wait = {.buckets = {0, 0, 5}, .sum_us = 6}},
                           .connections = 10,
                           .most_connections = 11,
                           .dropped = 12},
                          {.endpoint = "unixgram:///x", .handler = "print", .queue = {.in_bytes = true}}},
            .workers = {{.number = 1,
                         .pid = 18,
                         .generation = 3,
                         .state = "busy",
                         .since = 200ms,
                         .age = 1500ms,
                         .leaving_for = 400ms,
                         .connections = 5,
                         .accepted = 95,
                         .served = 90,
                         .received_bytes = 4096,
                         .sent_bytes = 5,
                         .last_error = "handler failed: bad",
                         .last_peer = "127.0.0.1:9",
                         .used = {.cpu = 20ms, .resident_bytes = 21, .open_descriptors = 22}},
                        {.number = 2, .pid = 19, .state = "idle"}},
            .counts = {.accept_errors = {{"EMFILE", 3}},
                       .handler_busy = {.buckets = {7}, .sum_us = 8},
                       .deaths = {1, 2, 3, 4, 5, 6, 7, 8},
                       .reloads = {.done = 1, .failed = 2},
                       .upgrades = {.done = 3, .failed = 4},
                       .worker_boot = {.buckets = {0, 9}, .sum_us = 10},
                       .cpu = 11ms}};
}

TEST(StatusReport, it_is_read_back_as_it_was_written) {
    const std::string json = to_json(some_report());
    EXPECT_EQ(to_json(parse_status(json)), json);
    const StatusReport read = parse_status(json);
    EXPECT_EQ(read.accepted, some_report().accepted);
    EXPECT_EQ(read.uptime, 90'061'234ms);
    EXPECT_EQ(read.model, "serial");
    EXPECT_EQ(read.processors, 4);
    ASSERT_EQ(read.workers.size(), 2U);
    EXPECT_EQ(read.workers[0].last_error, "handler failed: bad");
    EXPECT_EQ(read.workers[0].leaving_for, 400ms);
    EXPECT_EQ(read.workers[1].leaving_for, std::nullopt);
}

TEST(StatusReport, what_the_kernel_does_not_tell_is_null) {
    const std::string json = to_json(some_report());
    EXPECT_NE(json.find(R"("queued":null,"queue_limit":null,"queue_unit":"bytes","queues":1)"), std::string::npos)
        << json;
    EXPECT_FALSE(parse_status(json).listeners.at(1).queue.queued);
    EXPECT_FALSE(parse_status(json).listeners.at(1).refused);
    EXPECT_EQ(parse_status(json).listeners.at(0).refused->rate, 3U);
    EXPECT_FALSE(parse_status(json).listeners.at(1).limits);
    EXPECT_EQ(parse_status(json).listeners.at(0).limits, (LimitedClients{.max = 9, .clients = 2, .rate = 5}));
    EXPECT_EQ(parse_status(json).listeners.at(0).queue.queued, 3U);
    EXPECT_EQ(parse_status(json).listeners.at(0).queues, 8U);
}

TEST(StatusReport, a_key_process_that_is_wanted_and_not_there_has_no_pid) {
    StatusReport report = some_report();
    EXPECT_NE(to_json(report).find(R"("key_process":{"pid":20,"uid":61184,"own_uid":true})"), std::string::npos);
    report.key_process = KeyProcessStatus{};
    EXPECT_NE(to_json(report).find(R"("key_process":{"pid":null})"), std::string::npos);
    EXPECT_EQ(parse_status(to_json(report)).key_process->pid, 0);
    report.key_process.reset();
    EXPECT_FALSE(parse_status(to_json(report)).key_process);
}

TEST(StatusReport, a_program_that_has_the_socket_is_told_of_with_its_starts_and_nothing_else_is_counted) {
    StatusReport report = some_report();
    EXPECT_NE(to_json(report).find(R"("program":null)"), std::string::npos);
    report.listeners.at(1).program = ProgramStarts{.starts = 7, .pause = std::chrono::milliseconds{400}};
    const StatusReport read = parse_status(to_json(report));
    EXPECT_FALSE(read.listeners.at(0).program);
    EXPECT_EQ(read.listeners.at(1).program, report.listeners.at(1).program);
    EXPECT_FALSE(read.listeners.at(1).counts);
}

TEST(StatusReport, what_is_counted_is_read_back_number_by_number) {
    const StatusReport read = parse_status(to_json(some_report()));
    EXPECT_EQ(read.counts, some_report().counts);
    EXPECT_EQ(read.listeners.at(0).counts, some_report().listeners.at(0).counts);
    EXPECT_EQ(read.connection_slots, 6U);
    EXPECT_EQ(read.reload_failure, "--listen tcp://:80: in use");
    EXPECT_EQ(read.connection_slots_asked, 60U);
    EXPECT_EQ(read.listeners.at(0).most_connections, 11U);
    EXPECT_EQ(read.listeners.at(0).dropped, 12U);
    EXPECT_FALSE(read.listeners.at(1).counts);
    EXPECT_EQ(read.workers.at(0).used, some_report().workers.at(0).used);
    EXPECT_EQ(read.workers.at(1).used, ProcessUse{});
    EXPECT_FALSE(read.other_listeners);

    StatusReport crowded = some_report();
    crowded.listeners.at(0).counts_traffic = false;
    crowded.other_listeners = ListenerStatus{.counts = ListenerCounts{.accepted = 3}, .most_connections = 4};
    const StatusReport others = parse_status(to_json(crowded));
    EXPECT_EQ(others.other_listeners->counts->accepted, 3U);
    EXPECT_EQ(others.other_listeners->most_connections, 4U);
    EXPECT_FALSE(others.listeners.at(0).counts_traffic);
}

TEST(StatusReport, another_version_may_say_more_or_less) {
    const StatusReport read = parse_status(R"({"version":"9","news":[1],"workers":[{"pid":"x"},7],"listeners":null})");
    EXPECT_EQ(read.version, "9");
    EXPECT_EQ(read.workers.size(), 2U);
    EXPECT_EQ(read.workers.at(0).pid, 0);
    EXPECT_THROW((void)parse_status("not JSON"), std::runtime_error);
}

TEST(DeathRing, it_keeps_the_last_thirty_two) {
    DeathRing ring;
    for (int number = 1; number <= 40; ++number) ring.add({.number = number});
    ASSERT_EQ(ring.all().size(), DeathRing::capacity);
    EXPECT_EQ(ring.all().front().number, 9);
    EXPECT_EQ(ring.all().back().number, 40);
}

TEST(DeathRing, workers_that_left_in_good_order_crowd_no_crash_out_nor_crashes_the_last_eight_of_them) {
    DeathRing ring;
    for (int number = 1; number <= 20; ++number) ring.add({.number = number});
    for (int number = 21; number <= 99; ++number) ring.add({.number = number, .expected = true});
    ASSERT_EQ(ring.all().size(), DeathRing::capacity);
    EXPECT_EQ(ring.all().front().number, 1);
    EXPECT_EQ(ring.all().at(19).number, 20);
    EXPECT_EQ(ring.all().at(20).number, 88) << "the last of the others";
    for (int number = 100; number <= 199; ++number) ring.add({.number = number});
    EXPECT_EQ(ring.all().at(0).number, 92);
    EXPECT_EQ(ring.all().at(7).number, 99);
    EXPECT_EQ(ring.all().at(8).number, 176);
    EXPECT_EQ(ring.all().back().number, 199);
}

TEST(DeathRing, it_is_read_back_as_it_was_written) {
    DeathRing ring;
    ring.add({.time = "2026-11-24T14:00:00.001Z",
              .number = 3,
              .pid = 4,
              .generation = 2,
              .cause = "killed by SIGKILL",
              .ordered_by = "kernel: out of memory",
              .expected = true,
              .out_of_memory = true,
              .age = 12'345ms,
              .served = 6,
              .last_peer = "[::1]:7",
              .last_error = "no \"luck\"",
              .used = {.user = 8ms,
                       .system = 9ms,
                       .max_rss_bytes = 10,
                       .major_faults = 11,
                       .voluntary_switches = 12,
                       .involuntary_switches = 13}});
    ring.add({});
    EXPECT_EQ(parse_deaths(to_json(ring)), ring);
    EXPECT_EQ(parse_deaths("[]"), DeathRing{});
    EXPECT_THROW((void)parse_deaths("["), std::runtime_error);
}

TEST(SourcesReport, they_are_read_back_as_they_were_written) {
    const std::vector<ListenerSources> some{
        {.endpoint = "tcp://:80", .sources = {{.source = "192.0.2.1", .connections = 3, .refused = 4}, {}}}, {}};
    EXPECT_EQ(parse_sources(to_json(some)), some);
    EXPECT_EQ(parse_sources("[]"), std::vector<ListenerSources>{});
    EXPECT_EQ(parse_sources(R"([1, {"sources": 2}])").size(), 2U);
    EXPECT_THROW((void)parse_sources("["), std::runtime_error);
}

}  // namespace
}  // namespace preforkd
