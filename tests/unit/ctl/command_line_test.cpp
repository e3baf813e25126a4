#include "daemon/ctl/command_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

namespace preforkd {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Task = CommandLine::Task;
using Texts = std::vector<std::string>;

std::string line_refused(const Texts& arguments) {
    try {
        (void)parse_command_line(arguments);
        return {};
    } catch (const std::invalid_argument& error) { return error.what(); }
}

TEST(CommandLine, options_stand_before_the_command_too) {
    for (const Texts& arguments :
         {Texts{"--control", "unix://@x", "status", "--json"}, Texts{"--json", "--control=unix://@x", "status"},
          Texts{"status", "--control", "unix://@x", "--json"}}) {
        const CommandLine line = parse_command_line(arguments);
        EXPECT_EQ(line.command->name, "status");
        EXPECT_EQ(line.value("control"), "unix://@x");
        EXPECT_TRUE(line.has("json") && !line.has("watch") && line.words.empty());
    }
    const CommandLine send = parse_command_line({"--timeout", "3s", "send", ":7", "--expect", "a b", "text"});
    EXPECT_EQ(send.value("timeout"), "3s");
    EXPECT_THAT(send.words, ElementsAre(":7", "text"));
}

TEST(CommandLine, a_letter_takes_its_value_behind_it_or_in_it) {
    for (const Texts& arguments :
         {Texts{"-i", "web", "status"}, Texts{"-iweb", "status"}, Texts{"status", "--instance=web"}})
        EXPECT_EQ(parse_command_line(arguments).value("instance"), "web");
    EXPECT_TRUE(parse_command_line({"-v", "send", ":7"}).has("verbose"));
}

TEST(CommandLine, an_option_of_another_command_is_refused_wherever_it_stands) {
    EXPECT_THAT(line_refused({"--json", "stop"}), HasSubstr("--json: does not go with stop"));
    EXPECT_THAT(line_refused({"--control", "unix://@x", "send", ":7"}), HasSubstr("--control: does not go with send"));
    EXPECT_THAT(line_refused({"status", "-v"}), HasSubstr("--verbose: does not go with status"));
    EXPECT_THAT(line_refused({"--timeout", "1s", "status", "--timeout", "2s"}), HasSubstr("given twice"));
    EXPECT_THAT(line_refused({"--control", "--json", "status"}), HasSubstr("--json is an option"));
    EXPECT_THAT(line_refused({"--timeout"}), HasSubstr("--timeout: has no value; write --timeout TIME"));
}

TEST(CommandLine, an_unknown_command_names_those_that_exist) {
    const std::string refusal = line_refused({"start"});
    for (const CtlCommand& each : ctl_commands()) EXPECT_THAT(refusal, HasSubstr(std::string{each.name}));
    EXPECT_THAT(line_refused({"sned"}), HasSubstr("did you mean send?"));
    EXPECT_THAT(line_refused({":7"}), HasSubstr("preforkctl send :7"));
    EXPECT_THAT(line_refused({"--json"}), HasSubstr("say what to do"));
    EXPECT_THAT(line_refused({"--colour", "status"}), HasSubstr("see preforkctl --help"));
}

TEST(CommandLine, help_is_of_the_command_that_is_named_before_or_behind_it) {
    for (const Texts& arguments : {Texts{"help", "send"}, Texts{"send", "--help"}, Texts{"-h", "send"},
                                   Texts{"--timeout", "soon", "send", ":1", "-h", "--wrong"}}) {
        const CommandLine line = parse_command_line(arguments);
        EXPECT_EQ(line.task, Task::Help);
        EXPECT_EQ(line.command->name, "send");
    }
    for (const Texts& arguments : {Texts{"help"}, Texts{"--help"}, Texts{"-h", "wrong"}})
        EXPECT_EQ(parse_command_line(arguments).command, nullptr);
    EXPECT_EQ(parse_command_line({"send", ":1", "--", "--help"}).task, Task::Command);
}

TEST(CommandLine, version_has_a_capital_letter) {
    EXPECT_EQ(parse_command_line({"-V"}).task, Task::Version);
    EXPECT_EQ(parse_command_line({"status", "--version"}).task, Task::Version);
    EXPECT_THAT(line_refused({"-v"}), HasSubstr("say what to do"));
}

TEST(CommandLine, the_help_of_a_command_has_its_own_options_and_no_others) {
    for (const CtlCommand& command : ctl_commands())
        for (const CtlOption& option : ctl_options()) {
            const bool own = std::ranges::any_of(ctl_options(), [&](const CtlOption& each) {
                return each.name == option.name && goes_with(each, command);
            });
            const std::string lettered = option.letter != 0 ? std::string{"-"} + option.letter + ", " : "    ";
            const std::string line = "\n  " + lettered + "--" + std::string{option.name};
            if (own)
                EXPECT_THAT(ctl_help(&command), HasSubstr(line)) << command.name;
            else
                EXPECT_THAT(ctl_help(&command), Not(HasSubstr(line))) << command.name;
            EXPECT_THAT(ctl_help(nullptr), HasSubstr(line));
        }
}

TEST(CommandLine, every_option_goes_with_commands_that_exist) {
    for (const CtlOption& option : ctl_options())
        EXPECT_TRUE(std::ranges::any_of(ctl_commands(), [&](const auto& each) { return goes_with(option, each); }))
            << option.name;
}

TEST(CommandLine, two_options_of_one_name_are_spelled_alike) {
    for (const CtlOption& one : ctl_options())
        for (const CtlOption& other : ctl_options())
            if (one.name == other.name) {
                EXPECT_EQ(one.letter, other.letter) << one.name;
                EXPECT_EQ(one.argument, other.argument) << one.name;
            }
}

}  // namespace
}  // namespace preforkd
