#include "daemon/ctl/options_control.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using enum ControlCommand;
using testing::HasSubstr;
using Texts = std::vector<std::string>;

ControlOrder read_control_options(const Texts& arguments) { return read_control_order(parse_command_line(arguments)); }

std::string refusal_of(const Texts& arguments) {
    try {
        (void)read_control_options(arguments);
        return {};
    } catch (const std::invalid_argument& error) { return error.what(); }
}

TEST(OptionsControl, a_command_alone_has_the_defaults) {
    const ControlOrder order = read_control_options({"status"});
    EXPECT_EQ(order.request, ControlRequest{.command = Status});
    EXPECT_EQ(order.control, std::nullopt);
    EXPECT_EQ(order.timeout, 5s);
    EXPECT_FALSE(order.json || order.watch);
}

TEST(OptionsControl, ready_is_asked_by_its_own_name) {
    const ControlOrder order = read_control_options({"ready", "--timeout", "3s"});
    EXPECT_EQ(order.request, ControlRequest{.command = Ready});
    EXPECT_EQ(order.timeout, 3s);
    for (const char* option : {"--json", "--watch", "--force"})
        EXPECT_THAT(refusal_of({"ready", option}), HasSubstr("does not go with ready")) << option;
}

TEST(OptionsControl, what_takes_its_time_is_given_it) {
    for (const char* command : {"reload", "upgrade", "stop"})
        EXPECT_EQ(read_control_options({command}).timeout, 5min) << command;
    EXPECT_EQ(read_control_options({"stop", "--timeout", "1s"}).timeout, 1s);
}

TEST(OptionsControl, options_stand_anywhere_behind_the_command) {
    EXPECT_EQ(read_control_options({"workers", "--timeout=2s", "4"}).request,
              (ControlRequest{.command = Workers, .workers = 4}));
    EXPECT_TRUE(read_control_options({"reload", "--force"}).request.force);
    const ControlOrder order = read_control_options({"status", "--watch", "--json", "--control", "unix://@x"});
    EXPECT_TRUE(order.watch && order.json);
    EXPECT_EQ(to_string(order.control.value()), "unix://@x");
}

TEST(OptionsControl, an_option_that_does_not_go_with_the_command_is_refused) {
    EXPECT_THAT(refusal_of({"stop", "--force"}), HasSubstr("--force: does not go with stop"));
    EXPECT_THAT(refusal_of({"deaths", "--watch"}), HasSubstr("--watch: does not go with deaths"));
    EXPECT_THAT(refusal_of({"reload", "--json"}), HasSubstr("--json: does not go with reload"));
    EXPECT_THAT(refusal_of({"status", "--jsno"}), HasSubstr("did you mean --json?"));
    EXPECT_THAT(refusal_of({"status", "--json=yes"}), HasSubstr("--json: takes no value"));
    EXPECT_THAT(refusal_of({"status", "--control"}), HasSubstr("--control: has no value"));
    EXPECT_THAT(refusal_of({"status", "--control", "--json"}), HasSubstr("is an option"));
    EXPECT_THAT(refusal_of({"status", "--control", "tcp://:1"}), HasSubstr("--control: expected unix:///PATH"));
    EXPECT_THAT(refusal_of({"status", "--timeout", "soon"}), HasSubstr("not a duration"));
    EXPECT_THAT(refusal_of({"status", "--json", "--json"}), HasSubstr("given twice"));
}

TEST(OptionsControl, words_are_refused_as_the_daemon_would) {
    EXPECT_THAT(refusal_of({"status", "now"}), HasSubstr("one word too many"));
    EXPECT_THAT(refusal_of({"workers"}), HasSubstr("say how many"));
    EXPECT_THAT(refusal_of({"workers", "none"}), HasSubstr("from 1 to 1024"));
}

TEST(OptionsControl, the_daemon_is_where_the_option_or_else_the_environment_says) {
    const ControlOrder plain = read_control_options({"status"});
    const ControlOrder named = read_control_options({"status", "--control", "unix:///a"});
    const ControlOrder called = read_control_options({"status", "-i", "web"});
    EXPECT_EQ(to_string(control_of(named, "unix:///b", "/c").value()), "unix:///a");
    EXPECT_EQ(to_string(control_of(plain, "unix:///b", "/c").value()), "unix:///b");
    EXPECT_EQ(to_string(control_of(plain, "", "/c").value()), "unix:///c/control.sock");
    EXPECT_EQ(control_of(plain, nullptr, nullptr), std::nullopt);
    EXPECT_EQ(control_of(called, "unix:///b", "/c"), std::nullopt);
    EXPECT_EQ(called.instance, "web");
    EXPECT_THAT(refusal_of({"status", "-i", "web", "--control", "unix:///a"}), HasSubstr("contradicts --control"));
    EXPECT_THROW((void)control_of(plain, "off", nullptr), std::invalid_argument);
}

}  // namespace
}  // namespace preforkd
