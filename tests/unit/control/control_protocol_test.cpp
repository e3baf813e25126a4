#include "common/control/control_protocol.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace preforkd {
namespace {

using enum ControlCommand;
using testing::HasSubstr;

std::string refusal_of(std::string_view line) {
    try {
        (void)parse_control_request(line);
        return {};
    } catch (const std::invalid_argument& error) { return error.what(); }
}

TEST(ControlProtocol, a_bare_word_is_a_command) {
    EXPECT_EQ(parse_control_request("status"), ControlRequest{.command = Status});
    EXPECT_EQ(parse_control_request("  stop \r\n"), ControlRequest{.command = Stop});
    EXPECT_EQ(parse_control_request("workers 12"), (ControlRequest{.command = Workers, .workers = 12}));
    EXPECT_EQ(parse_control_request("reload --force"), (ControlRequest{.command = Reload, .force = true}));
}

TEST(ControlProtocol, an_object_says_the_same) {
    EXPECT_EQ(parse_control_request(R"({"command":"deaths"})"), ControlRequest{.command = Deaths});
    EXPECT_EQ(parse_control_request(R"( {"workers":3, "command":"workers"})"),
              (ControlRequest{.command = Workers, .workers = 3}));
    EXPECT_EQ(parse_control_request(R"({"command":"reload","force":true})"),
              (ControlRequest{.command = Reload, .force = true}));
}

TEST(ControlProtocol, every_request_is_read_back_as_it_was_written) {
    for (const ControlRequest& request :
         {ControlRequest{.command = Status}, ControlRequest{.command = Workers, .workers = 7},
          ControlRequest{.command = Reload, .force = true}, ControlRequest{.command = Reload},
          ControlRequest{.command = Upgrade}, ControlRequest{.command = Stop}, ControlRequest{.command = Deaths},
          ControlRequest{.command = Ready}, ControlRequest{.command = Sources}})
        EXPECT_EQ(parse_control_request(to_json(request)), request) << to_json(request);
}

TEST(ControlProtocol, what_cannot_be_understood_is_refused_with_what_can) {
    EXPECT_THAT(refusal_of("stats"), HasSubstr("did you mean status?"));
    EXPECT_THAT(refusal_of("dance"),
                HasSubstr("there are status, workers, reload, upgrade, stop, deaths, ready, sources"));
    EXPECT_THAT(refusal_of(""), HasSubstr("say a command"));
    EXPECT_THAT(refusal_of("status now"), HasSubstr("\"now\" is one word too many"));
    EXPECT_THAT(refusal_of("workers"), HasSubstr("say how many"));
    for (const char* number : {"0", "1025", "-1", "99999999999999999999", "four", "4x"})
        EXPECT_THAT(refusal_of(std::string{"workers "} + number), HasSubstr("from 1 to 1024")) << number;
}

TEST(ControlProtocol, an_object_that_does_not_fit_is_refused) {
    EXPECT_THAT(refusal_of("{"), HasSubstr("not a JSON object"));
    EXPECT_THAT(refusal_of(R"({"command":"status"} x)"), HasSubstr("not a JSON object"));
    EXPECT_THAT(refusal_of("{}"), HasSubstr("\"command\" is missing"));
    EXPECT_THAT(refusal_of(R"({"command":7})"), HasSubstr("\"command\" must be a string"));
    EXPECT_THAT(refusal_of(R"({"command":["status"]})"), HasSubstr("\"command\" must be a string"));
    EXPECT_THAT(refusal_of(R"({"command":"workers"})"), HasSubstr("say how many"));
    EXPECT_THAT(refusal_of(R"({"command":"workers","workers":"4"})"), HasSubstr("expected a number"));
    EXPECT_THAT(refusal_of(R"({"command":"workers","workers":1e9})"), HasSubstr("expected a number"));
    EXPECT_THAT(refusal_of(R"({"command":"status","force":true})"), HasSubstr("does not go with this command"));
    EXPECT_THAT(refusal_of(R"({"command":"reload","force":1})"), HasSubstr("true or false"));
    EXPECT_THAT(refusal_of(std::string(2000, '{')), HasSubstr("not a JSON object"));
    EXPECT_THAT(refusal_of(R"({"command":)" + std::string(2000, '[')), HasSubstr("not a JSON object"));
}

TEST(ControlProtocol, an_answer_is_one_line_and_read_back_as_it_was_written) {
    const std::string line = answer_line(Outcome{.ok = false, .sentence = "bad \"file\"\nin line 3"});
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    const ControlAnswer answer = parse_control_answer(line);
    EXPECT_FALSE(answer.outcome.ok);
    EXPECT_EQ(answer.outcome.sentence, "bad \"file\"\nin line 3");
    EXPECT_EQ(parse_control_answer(answer_line(Outcome{.sentence = "done"})).outcome.sentence, "done");
    EXPECT_EQ(parse_control_answer(answer_line("status", R"({"pid":1})")).status, R"({"pid":1})");
    EXPECT_EQ(parse_control_answer(answer_line("deaths", "[]")).deaths, "[]");
    EXPECT_EQ(parse_control_answer(answer_line("sources", "[]")).sources, "[]");
}

TEST(ControlProtocol, a_farewell_is_told_from_an_answer_and_reads_as_a_failure_to_who_does_not_know_it) {
    const ControlAnswer answer = parse_control_answer(farewell_line());
    EXPECT_TRUE(answer.stopped);
    EXPECT_FALSE(answer.outcome.ok);
    EXPECT_EQ(answer.outcome.sentence, "the daemon has stopped");
    EXPECT_FALSE(parse_control_answer(answer_line(Outcome{.ok = false, .sentence = "bad"})).stopped);
}

TEST(ControlProtocol, what_is_no_answer_is_not_taken_for_one) {
    for (const char* line : {"", "hello", "[]", "{}", R"({"ok":"yes"})"})
        EXPECT_THROW((void)parse_control_answer(line), std::runtime_error) << line;
}

}  // namespace
}  // namespace preforkd
