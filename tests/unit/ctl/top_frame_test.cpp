#include "daemon/ctl/top_frame.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

HistogramCounts times(int count, std::chrono::nanoseconds duration) {
    HistogramCounts histogram;
    for (int i = 0; i < count; ++i) histogram.add(duration);
    return histogram;
}

/// Two looks, 2 s apart.
TopView some_view() {
    TopView view{.clock = "12:00:02", .control = "unix:///c", .has_looked = true, .has_rates = true};
    StatusReport report{.version = "1.2.3",
                        .pid = 7,
                        .phase = "running",
                        .uptime = 1min,
                        .workers_wanted = 2,
                        .workers_max = 2,
                        .model = "async",
                        .processors = 4,
                        .connection_slots = 2048,
                        .connections = 3,
                        .accepted = 100,
                        .received_bytes = 1000,
                        .sent_bytes = 0,
                        .listeners = {{.endpoint = "tcp://:1",
                                       .handler = "echo",
                                       .queue = {.queued = 0, .limit = 511},
                                       .counts = ListenerCounts{.accepted = 100},
                                       .connections = 3,
                                       .dropped = 2}},
                        .workers = {{.number = 1,
                                     .pid = 8,
                                     .state = "idle",
                                     .age = 1min,
                                     .connections = 1,
                                     .accepted = 40,
                                     .received_bytes = 400,
                                     .sent_bytes = 0,
                                     .used = {.cpu = 1s, .resident_bytes = 2 << 20, .open_descriptors = 9}},
                                    {.number = 2,
                                     .pid = 9,
                                     .state = "busy",
                                     .age = 1min,
                                     .connections = 2,
                                     .accepted = 60,
                                     .received_bytes = 600,
                                     .sent_bytes = 0,
                                     .used = {.cpu = 2s}}}};
    view.looks = {.before = report, .now = report, .between = 2s};
    StatusReport& now = view.looks.now;
    now.uptime += 2s;
    now.accepted += 50;
    now.received_bytes = 1000 + 4096;
    now.listeners[0].queue.queued = 5;
    ListenerCounts& counts = *now.listeners[0].counts;
    counts.accepted += 50;
    counts.received_bytes = 4096;
    counts.sent_bytes = 600;
    counts.accept_wait = times(9, 2ms);
    counts.accept_wait.add(400ms);
    counts.duration = times(50, 20ms);
    now.workers[0].accepted += 10;
    now.workers[1].accepted += 40;
    now.workers[1].used.cpu = 3s;
    now.counts.deaths[1] = 1;
    view.deaths.add({.time = "2027-01-15T08:00:00.000Z",
                     .number = 1,
                     .pid = 6,
                     .cause = "killed by SIGSEGV",
                     .ordered_by = "nobody",
                     .age = 5s,
                     .served = 12});
    return view;
}

std::vector<std::string> texts(const std::vector<FrameLine>& frame) {
    std::vector<std::string> lines;
    for (const FrameLine& each : frame) lines.push_back(each.text);
    return lines;
}

/// Of the line that begins with `first`, its words.
std::vector<std::string> words_of(const std::vector<FrameLine>& frame, const std::string& first) {
    for (const FrameLine& each : frame) {
        std::vector<std::string> words;
        for (std::size_t begin = each.text.find_first_not_of(' '); begin != std::string::npos;) {
            const std::size_t end = std::min(each.text.find(' ', begin), each.text.size());
            words.push_back(each.text.substr(begin, end - begin));
            begin = each.text.find_first_not_of(' ', end);
        }
        if (!words.empty() && words[0] == first) return words;
    }
    return {};
}

TEST(TopFrame, rates_and_percentiles_are_of_what_happened_between_the_looks) {
    const auto frame = frame_of(some_view(), {});
    EXPECT_THAT(texts(frame)[0], HasSubstr("12:00:02  preforkd 1.2.3, pid 7, running for 1m 2s"));
    EXPECT_EQ(texts(frame)[1], "ready");
    EXPECT_EQ(texts(frame)[2], "connections 25.0/s, 3 open of 2048; bytes in 2.0K/s, out 0/s");
    EXPECT_EQ(texts(frame)[3], "wait in the queue p50 <2.5ms p99 <500ms; took p50 <25ms p99 <25ms");
    EXPECT_EQ(texts(frame)[4], "workers 2 ready of 2, 1 busy; processors 0.50 of 4; deaths 1 signal");
    EXPECT_THAT(texts(frame)[5], HasSubstr("limit: 1 worker died within 2.0 s: 1 signal"));
    EXPECT_THAT(words_of(frame, "tcp://:1"), ElementsAre("tcp://:1", "5", "511", "<500ms", "<25ms", "3", "25.0", "2",
                                                         "<2.5ms", "<25ms", "2.0K", "300", "echo"));
    EXPECT_THAT(words_of(frame, "2027-01-15T08:00:00.000Z"),
                ElementsAre("2027-01-15T08:00:00.000Z", "1", "6", "killed", "by", "SIGSEGV", "nobody", "5s", "12"));
}

TEST(TopFrame, workers_are_sorted_by_their_processor_time) {
    const auto frame = frame_of(some_view(), {});
    EXPECT_THAT(words_of(frame, "2"),
                ElementsAre("2", "9", "50", "busy", "0s", "2", "20.0", "0", "0", "-", "-", "1m", "0s", "-"));
    EXPECT_THAT(words_of(frame, "1"),
                ElementsAre("1", "8", "0", "idle", "0s", "1", "5.0", "0", "0", "2.0M", "9", "1m", "0s", "-"));
    const auto line_of = [&](const std::string& first) {
        const auto lines = texts(frame);
        return std::ranges::find_if(lines, [&](const std::string& line) { return line.starts_with(first); }) -
               lines.begin();
    };
    EXPECT_LT(line_of("     2    9"), line_of("     1    8"));
}

TEST(TopFrame, before_there_was_a_second_look_there_are_no_rates) {
    TopView view = some_view();
    view.has_rates = false;
    const auto frame = frame_of(view, {});
    EXPECT_EQ(texts(frame)[2], "connections -/s, 3 open of 2048; bytes in -/s, out -/s");
    EXPECT_EQ(words_of(frame, "2")[2], "-");
    EXPECT_EQ(texts(frame_of({.clock = "12:00", .control = "unix:///c"}, {})),
              (std::vector<std::string>{"12:00  unix:///c", "asking"}));
}

TEST(TopFrame, a_daemon_that_is_silent_is_told_above_what_was_known_of_it) {
    TopView view = some_view();
    view.trouble = "unix:///c: Connection refused";
    view.event = "upgraded from 1 to 2 at 12:00:00";
    EXPECT_EQ(texts(frame_of(view, {}))[1], "NO NEWS: unix:///c: Connection refused");
    EXPECT_EQ(words_of(frame_of(view, {}), "tcp://:1").at(1), "5");
    EXPECT_EQ(texts(frame_of(view, {}))[5], "what follows, and the lines above it, are of the last answer");
    view.trouble = {};
    EXPECT_EQ(texts(frame_of(view, {}))[1], "ready; upgraded from 1 to 2 at 12:00:00");
    view.looks.now.phase = "draining";
    EXPECT_EQ(texts(frame_of(view, {}))[1], "not ready: draining; upgraded from 1 to 2 at 12:00:00");
}

class TopFrameOf : public testing::TestWithParam<ScreenSize> {};

TEST_P(TopFrameOf, each_size_is_kept_to) {
    TopView view = some_view();
    view.looks.now.listeners.resize(30, view.looks.now.listeners[0]);
    view.looks.now.workers.resize(60, view.looks.now.workers[0]);
    for (int i = 0; i < 20; ++i) view.deaths.add(view.deaths.all()[0]);
    const auto frame = frame_of(view, GetParam());
    EXPECT_LE(frame.size(), GetParam().rows);
    EXPECT_TRUE(GetParam().rows < 5 || frame.size() >= GetParam().rows - 1) << "what there is, is used";
    for (const FrameLine& each : frame) EXPECT_LE(each.text.size(), GetParam().columns) << each.text;
}

INSTANTIATE_TEST_SUITE_P(All, TopFrameOf,
                         testing::Values(ScreenSize{80, 24}, ScreenSize{200, 60}, ScreenSize{20, 10},
                                         ScreenSize{132, 14}, ScreenSize{1, 1}, ScreenSize{3, 2}),
                         [](const auto& each) {
                             return std::to_string(each.param.columns) + "_by_" + std::to_string(each.param.rows);
                         });

TEST(TopFrame, of_what_has_no_space_it_is_said_how_much_there_is) {
    TopView view = some_view();
    view.looks.now.workers.resize(60, view.looks.now.workers[0]);
    const auto lines = texts(frame_of(view, {.columns = 200, .rows = 24}));
    const auto workers =
        std::ranges::count_if(lines, [](const std::string& line) { return line.starts_with("     1 "); });
    EXPECT_THAT(lines, testing::Contains(fmt::format("(and {} more)", 59 - workers)));
    EXPECT_EQ(lines.size(), 24U);
}

TEST(TopFrame, what_matters_most_fits_into_80_columns_beside_any_endpoint) {
    for (const std::string endpoint :
         {"tcp://[2001:db8:1234:5678:9abc:def0:1234:5678]:65535", "unix:///run/a/b/c.sock"}) {
        TopView view = some_view();
        view.looks.now.listeners[0].endpoint = view.looks.before.listeners[0].endpoint = endpoint;
        view.looks.now.listeners[0].queue = {.queued = 4096, .limit = 65'535};
        const auto frame = frame_of(view, {.columns = 80, .rows = 24});
        const auto title = std::ranges::find_if(frame, [](const FrameLine& line) { return line.is_title; });
        ASSERT_NE(title, frame.end());
        EXPECT_THAT(title->text, HasSubstr("QUEUED  LIMIT  WAIT P99  TOOK P99"));
        EXPECT_THAT(std::next(title)->text, HasSubstr("   4096  65535    <500ms     <25ms"));
        EXPECT_THAT(std::next(title)->text, HasSubstr(endpoint.substr(endpoint.size() - 9)));
    }
}

TEST(TopFrame, what_limits_it_has_the_lines_that_are_free_and_ends_with_dots_where_it_has_not_all_that_it_needs) {
    TopView view = some_view();
    view.looks.now.counts.deaths = {};
    view.looks.now.key_process = KeyProcessStatus{};
    const auto lines = texts(frame_of(view, {.columns = 24, .rows = 40}));
    EXPECT_EQ(lines[5], "limit: TLS handshakes");
    EXPECT_EQ(lines[10], "log says what it died of");
    EXPECT_EQ(lines[11], "");
    const auto fewer = texts(frame_of(view, {.columns = 24, .rows = 12}));
    EXPECT_EQ(fewer[7], "private keys...");
    EXPECT_EQ(fewer[8], "");
}

TEST(TopFrame, what_limits_it_is_wrapped_at_blanks) {
    TopView view = some_view();
    view.looks.now.counts.deaths = {};
    view.looks.now.listeners[0].lost = true;
    const auto lines = texts(frame_of(view, {.columns = 60, .rows = 30}));
    EXPECT_EQ(lines[5], "limit: listener tcp://:1: no client finds it: its socket");
    EXPECT_EQ(lines[6], "file was removed or replaced; it is bound again once nothing");
    EXPECT_EQ(lines[7], "else has its path; the log says what has");
}

TEST(TopFrame, nothing_reaches_the_terminal_as_it_is) {
    TopView view = some_view();
    const std::string escape = "\033[2J\n\x9b";
    StatusReport& now = view.looks.now;
    now.version = now.phase = now.listeners[0].endpoint = now.listeners[0].handler = escape;
    now.workers[0].state = now.workers[0].last_error = escape;
    view.deaths.add({.time = escape, .cause = escape, .ordered_by = escape});
    for (const std::string& trouble : {std::string{}, escape}) {
        view.trouble = trouble;
        view.event = escape;
        for (const FrameLine& each : frame_of(view, {.columns = 500, .rows = 100}))
            EXPECT_EQ(each.text.find_first_of("\033\n\x9b"), std::string::npos) << each.text;
    }
}

TEST(TopFrame, what_has_happened_to_the_daemon_is_told) {
    const StatusReport before{.version = "1", .pid = 7, .uptime = 10s, .generation = 1};
    const auto event = [&](auto change) {
        StatusReport now = before;
        now.uptime += 1s;
        change(now);
        return event_between(before, now);
    };
    EXPECT_EQ(event([](StatusReport&) {}), "");
    EXPECT_EQ(event([](StatusReport& now) { now.version = "2", now.generation = 2, now.counts.upgrades.done = 1; }),
              "upgraded from 1 to 2");
    EXPECT_EQ(event([](StatusReport& now) { now.generation = 2, now.counts.upgrades.done = 1; }),
              "upgraded to the same version");
    EXPECT_EQ(event([](StatusReport& now) { now.counts.upgrades.failed = 1; }), "an upgrade failed");
    EXPECT_EQ(event([](StatusReport& now) { now.counts.reloads.failed = 1; }), "a reload failed");
    EXPECT_EQ(event([](StatusReport& now) { now.generation = 2; }), "reloaded: generation 2");
    EXPECT_EQ(event([](StatusReport& now) { now.pid = 8; }), "started anew as pid 8");
    EXPECT_EQ(event([](StatusReport& now) { now.uptime = 1s; }), "started anew as pid 7");
}

}  // namespace
}  // namespace preforkd
