#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/quoted.hpp"
#include "common/config/listen_settings.hpp"
#include "tests/unit/config/options_fixture.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

Settings settings_in(const std::string& text, Texts arguments = {}) {
    const TextFile file{text};
    arguments.insert(arguments.begin(), {"-C", file.path()});
    return settings_of(arguments);
}

TEST(OptionsSources, the_environment_names_options_in_capitals) {
    const Texts environment{
        "HOME=/",    "PREFORKD_IDLE_TIMEOUT=5s", "PREFORKD_WORKERS=3", "PREFORKDWORKERS=x", "preforkd_workers=x",
        "PREFORKD_X"};
    const Invocation invocation = read_options({}, environment);
    EXPECT_EQ(invocation.settings.idle_timeout, 5s);
    EXPECT_EQ(invocation.settings.workers.max, 3);
    EXPECT_THAT(invocation.warnings, IsEmpty());
}

TEST(OptionsSources, endpoints_in_the_environment_stand_on_lines) {
    const Settings s = settings_of({}, {"PREFORKD_LISTEN=:7 handler=echo\n\n  unix:///x mode=0660 \r\n"});
    EXPECT_THAT(s.listen, ElementsAre(parse_listen(":7 handler=echo"), parse_listen("unix:///x mode=0660")));
    EXPECT_FALSE(s.listen_is_default);
}

TEST(OptionsSources, an_empty_variable_says_nothing) {
    const Settings s = settings_of({}, {"PREFORKD_WORKERS=", "PREFORKD_LISTEN=", "PREFORKD_CONFIG="});
    EXPECT_TRUE(s.workers.automatic);
    EXPECT_TRUE(s.listen_is_default);
    EXPECT_TRUE(settings_of({}, {"PREFORKD_LISTEN= \n "}).listen_is_default);
}

TEST(OptionsSources, the_first_of_two_equal_variables_counts) {
    EXPECT_EQ(settings_of({}, {"PREFORKD_WORKERS=3", "PREFORKD_WORKERS=4"}).workers.max, 3);
}

TEST(OptionsSources, unknown_variables_are_warnings) {
    const Invocation invocation = read_options(
        {}, {"PREFORKD_PORT=tcp://10.0.0.1:7", "PREFORKD_SERVICE_HOST=10.0.0.1", "PREFORKD_PORT_7_TCP_PROTO=tcp",
             "PREFORKD_WORKER=4", "PREFORKD_HELP=1", "PREFORKD_=x", "PREFORKD_A\x1b[2J\n=x"});
    ASSERT_EQ(invocation.warnings.size(), 7u);
    EXPECT_EQ(invocation.warnings[0], "PREFORKD_PORT is not an option of preforkd, ignored");
    EXPECT_EQ(invocation.warnings[3],
              "PREFORKD_WORKER is not an option of preforkd, ignored; did you mean PREFORKD_WORKERS?");
    EXPECT_EQ(invocation.task, Task::Serve);
    for (const auto& warning : invocation.warnings) EXPECT_TRUE(is_printable(warning));
}

TEST(OptionsSources, a_bad_variable_is_a_configuration_error_that_names_it) {
    const Refusal refused = refusal({}, {"PREFORKD_IDLE_TIMEOUT=soon"});
    EXPECT_EQ(refused.code, ExitCode::Configuration);
    EXPECT_THAT(refused.sentence, StartsWith("PREFORKD_IDLE_TIMEOUT: expected a duration"));
    EXPECT_THAT(refusal({}, {"PREFORKD_LISTEN=:7\nlocalhost:8"}).sentence,
                StartsWith("PREFORKD_LISTEN: \"localhost:8\""));
}

TEST(OptionsSources, a_file_has_the_same_options) {
    const Settings s = settings_in(
        "# comment\nlisten = tcp://:7 handler=echo  # echo\nlisten=unix:///a#b\nworkers = 2..4\ngreeting = \"a # "
        "b\\n\"\n");
    EXPECT_THAT(s.listen, ElementsAre(parse_listen(":7 handler=echo"), parse_listen("unix:///a#b")));
    EXPECT_EQ(s.workers.max, 4);
    EXPECT_EQ(s.greeting, "a # b\n");
}

TEST(OptionsSources, the_environment_may_name_the_file) {
    const TextFile file{"workers = 3"};
    EXPECT_EQ(settings_of({}, {"PREFORKD_CONFIG=" + file.path()}).workers.max, 3);
    EXPECT_EQ(settings_of({"-C", file.path()}, {"PREFORKD_CONFIG=/nowhere"}).workers.max, 3);
}

TEST(OptionsSources, a_bad_line_is_a_configuration_error_that_names_file_and_line) {
    const Refusal refused = file_refusal("\nworkers = many\n");
    EXPECT_EQ(refused.code, ExitCode::Configuration);
    EXPECT_THAT(refused.sentence, StartsWith("FILE:2: workers: expected auto"));
    EXPECT_THAT(file_refusal("listen = :7\nlisten = :70000\n").sentence, StartsWith("FILE:2: listen: \":70000\""));
    EXPECT_EQ(file_refusal("worker = 3").sentence, "FILE:1: unknown option \"worker\"; did you mean workers?");
    EXPECT_EQ(file_refusal("frobnicate = 3").sentence, "FILE:1: unknown option \"frobnicate\"; see preforkd --help");
    EXPECT_EQ(file_refusal("w = 3").sentence, "FILE:1: unknown option \"w\"; see preforkd --help");
    EXPECT_THAT(file_refusal("help = yes").sentence, HasSubstr("belongs on the command line"));
    EXPECT_THAT(file_refusal("config = /x").sentence, HasSubstr("belongs on the command line"));
    EXPECT_THAT(file_refusal("workers 3").sentence, HasSubstr("FILE:1: expected `name = value`"));
}

TEST(OptionsSources, a_file_that_cannot_be_read_is_a_configuration_error) {
    for (const char* file : {"/nowhere/x.conf", "/", "/dev/zero", "a\nb"}) {
        const Refusal refused = refusal({"-C", file});
        EXPECT_EQ(refused.code, ExitCode::Configuration) << file;
        EXPECT_THAT(refused.sentence, StartsWith("--config: cannot read ")) << file;
    }
    EXPECT_THAT(refusal({}, {"PREFORKD_CONFIG=/nowhere"}).sentence,
                AllOf(StartsWith("PREFORKD_CONFIG: "), HasSubstr("No such file")));
}

TEST(OptionsSources, the_command_line_goes_before_the_environment_before_the_file) {
    const TextFile file{"workers = 1\nconnections = 1\nbacklog = 1\n"};
    const Settings s = settings_of({"-w", "3", "-C", file.path()}, {"PREFORKD_WORKERS=2", "PREFORKD_CONNECTIONS=2"});
    EXPECT_EQ(s.workers.max, 3);
    EXPECT_EQ(s.connections, 2);
    EXPECT_EQ(s.backlog, 1);
}

TEST(OptionsSources, endpoints_replace_those_of_lower_places) {
    const TextFile file{"listen = :1\nlisten = :2\n"};
    EXPECT_THAT(settings_of({"-C", file.path(), "-l", ":5"}, {"PREFORKD_LISTEN=:3\n:4"}).listen,
                ElementsAre(parse_listen(":5")));
    EXPECT_THAT(settings_of({"-C", file.path()}, {"PREFORKD_LISTEN=:3\n:4"}).listen,
                ElementsAre(parse_listen(":3"), parse_listen(":4")));
    EXPECT_THAT(settings_of({"-C", file.path()}).listen, ElementsAre(parse_listen(":1"), parse_listen(":2")));
}

TEST(OptionsSources, a_bad_value_is_refused_even_where_it_is_outvoted) {
    EXPECT_EQ(refusal({"-w", "2"}, {"PREFORKD_WORKERS=x"}).code, ExitCode::Configuration);
    EXPECT_EQ(file_refusal("workers = x", {"-w", "2"}).code, ExitCode::Configuration);
}

}  // namespace
}  // namespace preforkd
