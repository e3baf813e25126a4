#include "daemon/master/pool/handover.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "common/channel/channel.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

Handover full() {
    return {.purpose = Handover::Purpose::Resume,
            .version = "1.2.3",
            .reason = "a \"reason\"\nof two lines",
            .arguments = {"preforkd", "--listen", "tcp://:0"},
            .environment = {"A=b", "C="},
            .executable = "/usr/sbin/preforkd",
            .old_image = 11,
            .descriptor_limit = {.rlim_cur = 1024, .rlim_max = RLIM_INFINITY},
            .config_text = "greeting = hello\n",
            .started = Clock::time_point{5s},
            .generation = 7,
            .last_generation = 9,
            .workers = 4,
            .workers_ordered = 4,
            .workers_setting = "1..8",
            .runs_copies = true,
            .connections = 40,
            .stop_timeout = 30s,
            .worker_timeout = 0s,
            .listeners = {{.fd = 5,
                           .settings = "unix:///run/x.sock mode=0660",
                           .local = "unix:///run/x.sock",
                           .inherited = true,
                           .file = FileIdentity{.device = 1, .inode = 2},
                           .passed_name = "web",
                           .sources = 60,
                           .refused = {1, 0, ~std::uint64_t{0}}},
                          {.fd = 6, .settings = "tcp://:80", .local = "tcp://:80"}},
            .scoreboard = 13,
            .dead_workers = WorkerTotals{.accepted = 9, .served = 8, .sent_bytes = ~std::uint64_t{0}},
            .workers_alive = {{.pid = 100,
                               .number = 1,
                               .generation = 6,
                               .service = "tcp://:80",
                               .slot = 3,
                               .connections = 40,
                               .record = 3,
                               .orders = 20,
                               .reports = 23,
                               .printed = 22,
                               .started = Clock::time_point{1s},
                               .state = WorkerEntry::State::Leaving,
                               .patience = Clock::time_point{60s},
                               .told = Clock::time_point{4s},
                               .runs_programs = true,
                               .hears_finish_time = true,
                               .stopped = true,
                               .order = DeathOrder::Reload,
                               .unsent = {.closing = {0, every_listener}, .finish_within = 0, .leave = true},
                               .signing_requests = 70,
                               .signing_answers = 71,
                               .key_process = 500},
                              {.pid = 101, .number = 2, .generation = 7, .record = 4, .orders = 21}},
            .workers_to_come = 2,
            .groups = {{.group = 300, .kill_at = Clock::time_point{2s}}},
            .replaced = 17,
            .dropped_log_lines = 18,
            .log = {.reader = 40, .writer = 41, .processes = {400, 401}},
            .key_processes = {500, 501},
            .cut = {{.generation = 6, .connections = 19}},
            .deaths = "[]",
            .count_memory = 61,
            .counts = "{}",
            .areas = {{.memory = 80, .wakeup = 81}, {.memory = 82}},
            .control = {.fd = 30,
                        .local = "unix:///run/control.sock",
                        .file = FileIdentity{.device = 3, .inode = 4},
                        .waiting = {31, 32},
                        .peers = {{.fd = 33, .heard = "{\"comm\xff", .last = false},
                                  {.fd = 34, .unsent = "{}\n", .last = true},
                                  {.fd = 35, .waits_for_reload = true}},
                        .setting = "off",
                        .name = "web"}};
}

TEST(Handover, what_is_written_is_read_back) {
    const Handover before = full();
    Handover after = parse_handover(to_text(before));
    EXPECT_EQ(to_text(after), to_text(before));
    EXPECT_EQ(after.purpose, before.purpose);
    EXPECT_EQ(after.reason, before.reason);
    EXPECT_EQ(after.arguments, before.arguments);
    EXPECT_EQ(after.environment, before.environment);
    EXPECT_EQ(after.descriptor_limit.rlim_max, RLIM_INFINITY);
    EXPECT_EQ(after.config_text, before.config_text);
    EXPECT_EQ(after.listeners, before.listeners);
    EXPECT_EQ(after.workers_alive, before.workers_alive);
    EXPECT_EQ(after.workers_to_come, before.workers_to_come);
    EXPECT_EQ(after.workers_ordered, before.workers_ordered);
    EXPECT_EQ(after.workers_setting, before.workers_setting);
    EXPECT_EQ(after.runs_copies, before.runs_copies);
    EXPECT_EQ(after.groups, before.groups);
    EXPECT_EQ(after.stop_timeout, 30s);
    EXPECT_EQ(after.replaced, 17U);
    EXPECT_EQ(after.dropped_log_lines, 18U);
    EXPECT_EQ(after.log, before.log);
    EXPECT_EQ(after.key_processes, before.key_processes);
    EXPECT_EQ(after.cut, before.cut);
    EXPECT_EQ(after.count_memory, 61);
    EXPECT_EQ(after.counts, "{}");
    EXPECT_EQ(after.areas, before.areas);
    EXPECT_EQ(after.control, before.control);
}

TEST(Handover, fields_of_a_later_version_are_passed_over_and_those_that_lack_are_empty) {
    const Handover read = parse_handover(R"({"format": 1, "generation": 3, "invented later": [1, 2]})");
    EXPECT_EQ(read.generation, 3);
    EXPECT_TRUE(read.workers_alive.empty());
    EXPECT_FALSE(read.config_text.has_value());
    EXPECT_EQ(read.control.fd, -1);
}

TEST(Handover, a_worker_of_a_version_that_did_not_say_so_is_not_stopped) {
    const Handover read = parse_handover(R"({"format": 1, "workers_alive": [{"pid": 7, "number": 2}]})");
    ASSERT_EQ(read.workers_alive.size(), 1U);
    EXPECT_FALSE(read.workers_alive[0].stopped);
}

TEST(Handover, a_worker_of_a_version_that_did_not_say_so_does_not_hear_how_long_it_has) {
    const Handover read = parse_handover(R"({"format": 6, "workers_alive": [{"pid": 7, "unsent": {"leave": true}}]})");
    ASSERT_EQ(read.workers_alive.size(), 1U);
    EXPECT_FALSE(read.workers_alive[0].hears_finish_time);
    EXPECT_EQ(read.workers_alive[0].unsent, UnsentOrders{.leave = true});
}

TEST(Handover, why_a_worker_leaves_is_unknown_where_the_writer_does_not_say_or_has_reasons_of_its_own) {
    for (const char* order : {R"("number": 2)", R"("order": 99)", R"("order": -1)", R"("order": "reload")"}) {
        const Handover read =
            parse_handover(std::string{R"({"format": 1, "workers_alive": [{"pid": 7, )"} + order + "}]}");
        ASSERT_EQ(read.workers_alive.size(), 1U);
        EXPECT_EQ(read.workers_alive[0].order, DeathOrder::None) << order;
    }
}

TEST(Handover, the_format_comes_first_and_is_kept) {
    EXPECT_TRUE(to_text({}).starts_with(R"({"format":7,)"));
    EXPECT_EQ(parse_handover(R"({"format": 1})").format, 1);
}

TEST(Handover, two_versions_use_the_newest_format_that_both_know) {
    EXPECT_EQ(common_format({1, 2}, {1, 2}), 2);
    EXPECT_EQ(common_format({1, 1}, {1, 2}), 1);
    EXPECT_EQ(common_format({2, 7}, {1, 2}), 2);
    EXPECT_EQ(common_format({3, 7}, {1, 2}), std::nullopt);
    EXPECT_EQ(common_format({0, 0}, {1, 2}), std::nullopt);
}

TEST(Handover, a_reader_of_format_2_is_given_no_reports) {
    Handover handover = full();
    restrict_to(2, handover);
    EXPECT_EQ(handover.workers_alive[0].reports, -1);
    const Handover older = parse_handover(R"({"format": 2, "workers_alive": [{"pid": 7, "channel": 3}]})");
    EXPECT_EQ(older.workers_alive.at(0).orders, 3);
    EXPECT_EQ(older.workers_alive.at(0).reports, -1);
}

TEST(Handover, a_reader_of_format_1_is_given_no_peers) {
    Handover handover = full();
    restrict_to(2, handover);
    EXPECT_EQ(handover.control.peers.size(), 3U);
    restrict_to(1, handover);
    const Handover read = parse_handover(to_text(handover));
    EXPECT_EQ(read.format, 1);
    EXPECT_TRUE(read.control.peers.empty());
    EXPECT_EQ(read.control.waiting, handover.control.waiting);
}

TEST(Handover, a_reader_of_format_3_is_given_no_pipe_of_the_log) {
    Handover handover = full();
    restrict_to(4, handover);
    EXPECT_EQ(handover.log.processes.size(), 2U);
    restrict_to(3, handover);
    EXPECT_EQ(parse_handover(to_text(handover)).log, HandedLog{});
}

TEST(Handover, a_reader_of_format_4_is_given_no_tables_of_sources) {
    Handover handover = full();
    restrict_to(5, handover);
    EXPECT_EQ(handover.listeners[0].sources, 60);
    restrict_to(4, handover);
    EXPECT_EQ(parse_handover(to_text(handover)).listeners[0].sources, -1);
    EXPECT_EQ(parse_handover(to_text(handover)).listeners[0].refused, full().listeners[0].refused);
    EXPECT_TRUE(parse_handover(to_text(handover)).listeners[1].refused.empty());
}

TEST(Handover, a_reader_of_format_5_is_given_no_pipes_to_sign_through) {
    Handover handover = full();
    restrict_to(6, handover);
    EXPECT_EQ(handover.workers_alive[0].signing_requests, 70);
    restrict_to(5, handover);
    const HandedWorker older = parse_handover(to_text(handover)).workers_alive[0];
    EXPECT_EQ(older.signing_requests, -1);
    EXPECT_EQ(older.signing_answers, -1);
}

TEST(Handover, a_reader_of_format_5_is_given_no_memory_of_counts) {
    Handover handover = full();
    restrict_to(6, handover);
    EXPECT_EQ(handover.count_memory, 61);
    restrict_to(5, handover);
    for (const int* fd : descriptors_of(handover)) EXPECT_NE(*fd, 61);
    EXPECT_EQ(parse_handover(to_text(handover)).count_memory, -1);
}

TEST(Handover, a_reader_of_format_6_is_given_no_memory_that_workers_share) {
    Handover handover = full();
    restrict_to(7, handover);
    EXPECT_EQ(handover.areas.size(), 2U);
    restrict_to(6, handover);
    EXPECT_TRUE(parse_handover(to_text(handover)).areas.empty());
}

TEST(Handover, what_a_version_of_before_has_not_written_is_absent) {
    const Handover older = parse_handover(R"({"format": 1, "control": {"fd": 3, "waiting": [4]}})");
    EXPECT_EQ(older.report, -1);
    EXPECT_EQ(older.log, HandedLog{});
    EXPECT_EQ(older.count_memory, -1);
    EXPECT_EQ(older.control.setting, std::nullopt);
    EXPECT_EQ(older.control.name, std::nullopt);
    EXPECT_TRUE(older.control.peers.empty());
    EXPECT_EQ(older.control.waiting, std::vector{4});
}

TEST(Handover, what_is_not_understood_is_refused_with_the_formats_that_are) {
    for (const char* text : {"", "{", "[]", "{}", R"({"format": 8})", R"({"format": "1"})", "null"}) try {
            (void)parse_handover(text);
            ADD_FAILURE() << text;
        } catch (const std::runtime_error& error) {
            EXPECT_THAT(error.what(), testing::StartsWith("not understood")) << text;
            EXPECT_THAT(error.what(), testing::EndsWith("this version reads 1 to 7")) << text;
        }
}

TEST(Handover, every_descriptor_in_it_is_listed) {
    Handover handover = full();
    std::vector<int> listed;
    for (const int* fd : descriptors_of(handover)) listed.push_back(*fd);
    EXPECT_EQ(listed,
              (std::vector{11, 13, 61, 30, 40, 41, 5, 60, 6, 20, 23, 22, 70, 71, 21, 80, 81, 82, 31, 32, 33, 34, 35}));
}

}  // namespace
}  // namespace preforkd
