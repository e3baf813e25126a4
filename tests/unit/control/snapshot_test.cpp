#include "common/control/snapshot.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace preforkd {
namespace {

Snapshot example() {
    Snapshot snapshot{.why_not_ready = "not ready: \"draining\"",
                      .status = {.version = "1",
                                 .phase = "draining",
                                 .connection_slots = 2048,
                                 .reload_failure = "/etc/x.conf:3",
                                 .workers = {{.number = 1, .last_error = "a\nb", .last_peer = "192.0.2.1:1"}}}};
    snapshot.deaths.add({.number = 3, .cause = "killed by SIGSEGV", .last_peer = "192.0.2.2:2", .last_error = "c"});
    return snapshot;
}

TEST(Snapshot, is_one_line_that_is_read_back) {
    const std::string text = to_json(example());
    EXPECT_EQ(text.find('\n'), std::string::npos);
    const Snapshot read = parse_snapshot(text);
    EXPECT_EQ(read.why_not_ready, example().why_not_ready);
    EXPECT_EQ(to_json(read.status), to_json(example().status));
    EXPECT_EQ(read.deaths, example().deaths);
    EXPECT_EQ(parse_snapshot(R"({"not_ready":null,"status":{},"deaths":[]})").why_not_ready, std::nullopt);
}

TEST(Snapshot, details_can_be_left_out) {
    Snapshot snapshot = example();
    leave_details_out(snapshot);
    const std::string text = to_json(snapshot);
    for (const std::string_view detail : {"192.0.2.1", "192.0.2.2", "a\\nb", "\"c\"", "x.conf"})
        EXPECT_EQ(text.find(detail), std::string::npos) << detail;
    EXPECT_NE(text.find("killed by SIGSEGV"), std::string::npos);
}

TEST(Snapshot, what_is_no_json_is_an_error) {
    for (const std::string_view text : {"", "[]", "{", "null"})
        EXPECT_THROW((void)parse_snapshot(text), std::runtime_error) << text;
}

}  // namespace
}  // namespace preforkd
