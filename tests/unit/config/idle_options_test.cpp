#include "common/config/idle_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/config/options_fixture.hpp"

namespace preforkd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct IdleCase {
    const char* name;
    std::vector<std::string> idle;    ///< its first word is the option that has no effect
    std::vector<std::string> useful;  ///< what else it takes to have one
};

void PrintTo(const IdleCase& each, std::ostream* out) { *out << each.name; }

class IdleOptions : public testing::TestWithParam<IdleCase> {};

TEST_P(IdleOptions, is_told_with_a_remedy_which_helps) {
    const auto& [name, idle, useful] = GetParam();
    EXPECT_THAT(read_options(idle, {}).warnings,
                ElementsAre(testing::AllOf(testing::StartsWith(idle.front() + " has no effect: "),
                                           HasSubstr(", or leave it away"))));
    std::vector<std::string> both = useful;
    both.insert(both.begin(), idle.begin(), idle.begin() + 2);
    EXPECT_THAT(read_options(both, {}).warnings, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Each, IdleOptions,
    testing::Values(IdleCase{"greeting", {"--greeting", "hi", "--handler", "echo"}, {"--handler", "greet"}},
                    IdleCase{"greeting_at_one_endpoint",
                             {"--greeting", "hi", "--handler", "echo", "--listen", ":1"},
                             {"--handler", "echo", "--listen", ":1 handler=greet", "--listen", ":2"}},
                    IdleCase{"greeting_of_a_program", {"--greeting", "hi", "--", "cat"}, {}},
                    IdleCase{"line_max", {"--line-max", "2M", "--model", "async"}, {"--model", "thread"}},
                    IdleCase{"idle_timeout_of_programs", {"--idle-timeout", "9s", "--", "cat"}, {}},
                    IdleCase{"idle_timeout_of_datagrams",
                             {"--idle-timeout", "9s", "-l", "udp://:1"},
                             {"-l", "udp://:1", "-l", ":1"}},
                    IdleCase{"backlog_of_datagrams", {"--backlog", "9", "-l", "udp://:1"}, {"-l", ":1"}},
                    IdleCase{"reload", {"--reload", "rolling", "-w", "0"}, {"-w", "1"}},
                    IdleCase{"reload_timeout", {"--reload-timeout", "9s", "-w", "0"}, {"-w", "1"}},
                    IdleCase{"boot_timeout", {"--boot-timeout", "9s", "-w", "0"}, {"-w", "1..2"}},
                    IdleCase{"worker_timeout", {"--worker-timeout", "9s", "-w", "0"}, {"-w", "auto"}},
                    IdleCase{"max_requests", {"--max-requests", "9", "-w", "0"}, {}},
                    IdleCase{"max_memory", {"--max-memory", "900M", "-w", "0"}, {}},
                    IdleCase{"control", {"--control", "unix:///c", "-w", "0"}, {}},
                    IdleCase{"name_without_a_master", {"--name", "n", "-w", "0"}, {}},
                    IdleCase{"name_beside_control", {"--name", "n", "--control", "unix:///c"}, {}},
                    IdleCase{"stderr_rate", {"--stderr-rate", "9/s"}, {"--", "cat"}},
                    IdleCase{"sandbox_programs", {"--sandbox-programs", "yes"}, {"--", "cat"}},
                    IdleCase{"sandbox_programs_without_one",
                             {"--sandbox-programs", "yes", "--sandbox", "off", "--", "cat"},
                             {"--", "cat"}},
                    IdleCase{"allow_read", {"--allow-read", "/etc"}, {"--sandbox", "strict"}},
                    IdleCase{"allow_write", {"--allow-write", "/etc", "--sandbox", "off"}, {"--sandbox", "strict"}},
                    IdleCase{"observe_details", {"--observe-details", "yes"}, {"--observe", "tcp://localhost:9"}}),
    [](const auto& each) { return std::string{each.param.name}; });

TEST(IdleOption, one_that_says_the_default_as_print_config_does_is_not_told) {
    EXPECT_THAT(read_options({"--greeting", "connected", "--handler", "echo", "--observe-details", "no"}, {}).warnings,
                IsEmpty());
    EXPECT_THAT(read_options({"--control", "off", "-w", "0"}, {}).warnings, IsEmpty());
}

TEST(IdleOption, it_is_named_where_it_was_given) {
    EXPECT_THAT(read_options({"--handler", "echo"}, {"PREFORKD_GREETING=hi"}).warnings,
                ElementsAre(HasSubstr("PREFORKD_GREETING has no effect: ")));
}

TEST(IdleOption, a_default_that_each_endpoint_replaces_is_not_told) {
    EXPECT_THAT(read_options({"--handler", "echo", "--backlog", "9", "--log-connections", "end", "-l",
                              ":1 handler=discard backlog=7 log-connections=no"},
                             {})
                    .warnings,
                IsEmpty());
}

TEST(IdleOption, of_a_greeting_that_a_program_has_not_nothing_more_is_said) {
    EXPECT_THAT(read_options({}, {"PREFORKD_GREETING=hi"}, {.handler = "kv", .greets = false}).warnings,
                ElementsAre(HasSubstr("is not an option of")));
}

}  // namespace
}  // namespace preforkd
