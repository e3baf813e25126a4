#include "daemon/ctl/options_send.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using Texts = std::vector<std::string>;

SendRequest read_send_options(Texts arguments) {
    arguments.insert(arguments.begin(), "send");
    return read_send_request(parse_command_line(arguments));
}

/// What it says to `arguments`; empty if it takes them.
std::string refusal_of(const Texts& arguments) {
    try {
        (void)read_send_options(arguments);
        return {};
    } catch (const std::invalid_argument& error) { return error.what(); }
}

std::string refusal_behind_endpoint(Texts arguments) {
    arguments.insert(arguments.begin(), "tcp://h:1");
    return refusal_of(arguments);
}

TEST(OptionsSend, an_endpoint_alone_has_the_classic_defaults) {
    const SendRequest request = read_send_options({"tcp://localhost:7"});
    EXPECT_EQ(to_string(request.endpoint), "tcp://localhost:7");
    EXPECT_EQ(request.text, "hello from client");
    EXPECT_EQ(request.expect, std::nullopt);
    EXPECT_EQ(request.timeout, 5s);
    EXPECT_FALSE(request.no_reply);
    EXPECT_FALSE(request.verbose);
}

TEST(OptionsSend, every_option_is_read_wherever_it_stands) {
    const SendRequest request =
        read_send_options({"--timeout", "1m30s", ":7", "--expect=connected", "a text", "--verbose"});
    EXPECT_EQ(to_string(request.endpoint), "tcp://:7");
    EXPECT_EQ(request.text, "a text");
    EXPECT_EQ(request.expect, "connected");
    EXPECT_EQ(request.timeout, 90s);
    EXPECT_TRUE(request.verbose);
    EXPECT_TRUE(read_send_options({"-v", ":7"}).verbose);
    EXPECT_TRUE(read_send_options({"udp://h:1", "--no-reply"}).no_reply);
}

TEST(OptionsSend, all_four_transports_are_spoken) {
    for (const std::string endpoint :
         {"tcp://h:1", "udp://[::1]:1", "unix:///run/x", "unix://@x", "unixgram:///run/x", "unixgram://@x"})
        EXPECT_EQ(to_string(read_send_options({endpoint}).endpoint), endpoint);
}

TEST(OptionsSend, a_dash_is_standard_input) { EXPECT_EQ(read_send_options({":7", "-"}).text, std::nullopt); }

TEST(OptionsSend, an_empty_text_is_a_text) { EXPECT_EQ(read_send_options({":7", ""}).text, ""); }

TEST(OptionsSend, two_dashes_make_words_of_what_follows) {
    EXPECT_EQ(read_send_options({":7", "--", "--verbose"}).text, "--verbose");
    EXPECT_EQ(read_send_options({"--timeout=0", "--", ":7", "-x"}).text, "-x");
}

TEST(OptionsSend, an_expectation_may_look_like_an_option) {
    EXPECT_EQ(read_send_options({":7", "--expect=--verbose"}).expect, "--verbose");
    EXPECT_EQ(read_send_options({":7", "--expect", "-x"}).expect, "-x");
}

TEST(OptionsSend, what_is_missing_is_named) {
    EXPECT_THAT(refusal_of({}), HasSubstr("name an endpoint, such as tcp://"));
    EXPECT_THAT(refusal_behind_endpoint({"--timeout"}), HasSubstr("write --timeout TIME"));
    EXPECT_THAT(refusal_behind_endpoint({"--expect"}), HasSubstr("write --expect TEXT"));
    EXPECT_THAT(refusal_behind_endpoint({"--expect", "--verbose"}), HasSubstr("if it is meant: --expect=--verbose"));
    EXPECT_THAT(refusal_behind_endpoint({"--expect", ""}), HasSubstr("every answer contains"));
    EXPECT_THAT(refusal_of({"tcp://localhost"}), HasSubstr("no port"));
}

TEST(OptionsSend, a_mistyped_option_is_answered_with_the_right_one) {
    EXPECT_THAT(refusal_behind_endpoint({"--verbos"}), HasSubstr("did you mean --verbose?"));
    EXPECT_THAT(refusal_behind_endpoint({"-t", "3s"}), HasSubstr("did you mean --timeout?"));
    EXPECT_THAT(refusal_behind_endpoint({"--time-out=3s"}), HasSubstr("did you mean --timeout?"));
    EXPECT_THAT(refusal_behind_endpoint({"--noreply"}), HasSubstr("did you mean --no-reply?"));
    EXPECT_THAT(refusal_behind_endpoint({"--colour", "red"}), HasSubstr("unknown option \"--colour\""));
}

TEST(OptionsSend, a_text_that_begins_with_a_dash_is_told_where_to_stand) {
    EXPECT_THAT(refusal_behind_endpoint({"-hello"}), HasSubstr("send ENDPOINT -- TEXT"));
}

TEST(OptionsSend, a_flag_takes_no_value) {
    EXPECT_THAT(refusal_behind_endpoint({"--verbose=yes"}), HasSubstr("write --verbose"));
}

TEST(OptionsSend, an_option_is_given_once) {
    EXPECT_THAT(refusal_behind_endpoint({"--timeout", "1s", "--timeout", "2s"}), HasSubstr("given twice"));
    EXPECT_THAT(refusal_behind_endpoint({"--verbose", "--verbose"}), HasSubstr("given twice"));
}

TEST(OptionsSend, a_timeout_that_is_no_duration_is_answered_with_examples) {
    for (const std::string wrong : {"soon", "-5", "", "5 minutes", "0.5s"})
        EXPECT_THAT(refusal_behind_endpoint({"--timeout", wrong}), AllOf(HasSubstr("--timeout: "), HasSubstr("500ms")))
            << wrong;
}

TEST(OptionsSend, words_in_the_wrong_place_are_told_apart) {
    EXPECT_THAT(refusal_behind_endpoint({"two", "words"}), HasSubstr("quote a TEXT of several words"));
    EXPECT_THAT(refusal_of({"hello", "tcp://h:1"}), HasSubstr("the endpoint stands before the text"));
    EXPECT_THAT(refusal_of({"localhost:1"}), HasSubstr("write tcp://localhost:1"));
}

TEST(OptionsSend, an_endpoint_where_nobody_can_listen_is_refused) {
    EXPECT_THAT(refusal_of({"tcp://h:0"}), HasSubstr("port 0"));
    EXPECT_THAT(refusal_of({"udp://h:0"}), HasSubstr("port 0"));
    EXPECT_THAT(refusal_of({"fd://web"}), HasSubstr("fd://"));
}

TEST(OptionsSend, no_reply_is_for_datagrams_without_an_expectation) {
    EXPECT_THAT(refusal_of({"tcp://h:1", "--no-reply"}), HasSubstr("is for udp and unixgram"));
    EXPECT_THAT(refusal_of({"unix:///x", "--no-reply"}), HasSubstr("is for udp and unixgram"));
    EXPECT_THAT(refusal_of({"udp://h:1", "--no-reply", "--expect", "x"}), HasSubstr("contradicts --expect"));
}

TEST(OptionsSend, a_refusal_is_one_line_whatever_was_typed) {
    for (const std::string wrong : {"a\nb", "--\n", "-\n", "tcp://\n:1", "\x1b[31m"}) {
        EXPECT_EQ(refusal_of({wrong}).find_first_of("\n\x1b"), std::string::npos) << refusal_of({wrong});
        EXPECT_EQ(refusal_behind_endpoint({"--timeout", wrong}).find_first_of("\n\x1b"), std::string::npos);
        EXPECT_EQ(refusal_behind_endpoint({"--" + wrong, "x", "y"}).find_first_of("\n\x1b"), std::string::npos);
        EXPECT_EQ(refusal_behind_endpoint({"x", wrong}).find_first_of("\n\x1b"), std::string::npos);
    }
}

}  // namespace
}  // namespace preforkd
