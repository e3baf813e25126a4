#include "common/config/settings_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/quoted.hpp"
#include "common/config/listen_settings.hpp"
#include "common/config/observe_endpoint.hpp"

namespace preforkd {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::vector<std::string> known{"greet", "print", "echo"};
const Origin on_command_line{.kind = Origin::Kind::CommandLine};

Settings listening(const std::vector<std::string>& endpoints) {
    Settings settings;
    for (const auto& each : endpoints) settings.listen.push_back(parse_listen(each));
    return settings;
}

struct Refusal {
    std::string sentence{};
    ExitCode code = ExitCode::Ok;
};

Refusal refusal(const Settings& settings, const Origins& origins = {}, const IsFile& is_file = {}) {
    try {
        check_settings(settings, known, origins, is_file);
        return {};
    } catch (const OperatorError& error) {
        EXPECT_TRUE(is_printable(error.what())) << in_quotes(error.what());
        return {.sentence = error.what(), .code = error.code()};
    }
}

TEST(SettingsCheck, the_defaults_fit_together) { EXPECT_EQ(refusal(listening({":10000"})).sentence, ""); }

TEST(SettingsCheck, an_unknown_handler_is_answered_with_those_that_exist) {
    Settings settings = listening({":7"});
    settings.handler = "eko";
    EXPECT_EQ(refusal(settings).sentence, "--handler: unknown handler \"eko\"; there are greet, print, echo");
    settings.handler = "\x1b[2J";
    EXPECT_THAT(refusal(settings).sentence, HasSubstr(R"(\x1b[2J)"));
}

TEST(SettingsCheck, a_shared_object_without_a_slash_is_answered_with_how_to_name_it) {
    Settings settings = listening({":7"});
    settings.handler = "libshout.so";
    EXPECT_EQ(
        refusal(settings).sentence,
        "--handler: unknown handler \"libshout.so\"; there are greet, print, echo; a shared object is named with a "
        "slash: ./libshout.so");
    settings.handler = "shout.so.1";
    EXPECT_THAT(refusal(settings).sentence, Not(HasSubstr("./")));
    const auto is_file = [](const std::string& name) { return name == "shout.so.1"; };
    EXPECT_THAT(refusal(settings, {}, is_file).sentence, EndsWith("with a slash: ./shout.so.1"));
    EXPECT_THAT(refusal(listening({":7 handler=shout.so.1"}), {}, is_file).sentence,
                EndsWith("with a slash: ./shout.so.1"));
}

TEST(SettingsCheck, an_unknown_handler_of_an_endpoint_names_the_endpoint) {
    EXPECT_EQ(refusal(listening({":7 handler=echo", ":8 handler=eko"})).sentence,
              "--listen: tcp://:8: unknown handler \"eko\"; there are greet, print, echo");
}

TEST(SettingsCheck, a_drain_delay_needs_a_master) {
    Settings settings = listening({":7"});
    settings.drain_delay = std::chrono::seconds{5};
    EXPECT_EQ(refusal(settings).sentence, "");
    settings.workers = {.automatic = false, .min = 0, .max = 0};
    EXPECT_EQ(refusal(settings).sentence,
              "--drain-delay: needs a master, and --workers 0 has none; leave it away, or ask for workers");
}

TEST(SettingsCheck, the_sentence_and_the_code_follow_the_origin) {
    Settings settings = listening({":7", ":8 handler=eko"});
    EXPECT_EQ(refusal(settings).code, ExitCode::Configuration);

    const Origin third_line{.kind = Origin::Kind::File, .place = "f:3"};
    const Refusal in_file = refusal(settings, {{"listen", {{.kind = Origin::Kind::File, .place = "f:2"}, third_line}}});
    EXPECT_THAT(in_file.sentence, StartsWith("f:3: listen: tcp://:8: "));
    EXPECT_EQ(in_file.code, ExitCode::Configuration);

    const Origin variable{.kind = Origin::Kind::Environment, .place = "PREFORKD_LISTEN"};
    const Refusal in_environment = refusal(settings, {{"listen", {variable, variable}}});
    EXPECT_THAT(in_environment.sentence, StartsWith("PREFORKD_LISTEN: tcp://:8: "));
    EXPECT_EQ(in_environment.code, ExitCode::Configuration);

    const Refusal typed = refusal(settings, {{"listen", {on_command_line, on_command_line}}});
    EXPECT_THAT(typed.sentence, StartsWith("--listen: tcp://:8: "));
    EXPECT_EQ(typed.code, ExitCode::Usage);
}

TEST(SettingsCheck, a_program_and_a_handler_exclude_each_other) {
    Settings settings = listening({":7"});
    settings.program = {"/bin/cat", "-u"};
    EXPECT_EQ(refusal(settings).sentence, "");
    EXPECT_THAT(refusal(settings, {{"handler", {on_command_line}}}).sentence,
                AllOf(StartsWith("--handler: "), HasSubstr("/bin/cat")));
    settings.handler = "echo";
    EXPECT_THAT(refusal(settings).sentence, HasSubstr("\"echo\" and the program \"/bin/cat\""));
}

TEST(SettingsCheck, a_file_that_says_the_default_handler_allows_a_program) {
    Settings settings = listening({":7"});
    settings.program = {"/bin/cat"};
    EXPECT_EQ(refusal(settings, {{"handler", {{.kind = Origin::Kind::File, .place = "f:1"}}}}).sentence, "");
}

TEST(SettingsCheck, an_endpoint_may_have_a_handler_beside_the_program) {
    Settings settings = listening({":7 handler=echo", ":8"});
    settings.program = {"/bin/cat"};
    EXPECT_EQ(refusal(settings).sentence, "");
}

TEST(SettingsCheck, an_endpoint_is_there_once) {
    for (const auto& [first, second] :
         std::vector<std::pair<std::string, std::string>>{{":7", "tcp://:7"},
                                                          {"tcp://h:7 handler=echo", "tcp://H:7"},
                                                          {"udp://[::1]:7", "udp://[::1]:7"},
                                                          {"unix:///x", "unix:///x mode=0660"},
                                                          {"unix://@x", "unix://@x"},
                                                          {"fd://x", "fd://x"}})
        EXPECT_THAT(refusal(listening({":1", first, second})).sentence, HasSubstr("given twice")) << first;
    EXPECT_THAT(refusal(listening({"unix:///x", "unixgram:///x"})).sentence, HasSubstr("has the path of unix:///x"));
}

TEST(SettingsCheck, endpoints_that_differ_may_stand_side_by_side) {
    EXPECT_EQ(refusal(listening({":7", "udp://:7", ":8", "tcp://127.0.0.1:7", "unix:///x", "unix:///y", "unix://@x",
                                 "unixgram://@x", "fd://x", "fd://y"}))
                  .sentence,
              "");
}

TEST(SettingsCheck, who_observes_has_an_endpoint_of_its_own) {
    Settings settings = listening({":7", "tcp://localhost:7", "unix:///x"});
    settings.observe = parse_observe_endpoint("tcp://localhost:7", Serves::Observers);
    EXPECT_EQ(refusal(settings).sentence, "--observe: tcp://localhost:7: --listen has that already; choose another");
    EXPECT_EQ(refusal(settings, {{"observe", {{.kind = Origin::Kind::File, .place = "f:1"}}}}).code,
              ExitCode::Configuration);
    settings.observe = parse_observe_endpoint("tcp://localhost:8", Serves::Observers);
    EXPECT_EQ(refusal(settings).sentence, "");
    settings.agent = parse_observe_endpoint("tcp://localhost:8", Serves::Agents);
    EXPECT_EQ(refusal(settings).sentence, "--agent: tcp://localhost:8: --observe has that already; choose another");
    settings.agent = parse_observe_endpoint("unix:///x", Serves::Agents);
    EXPECT_EQ(refusal(settings).sentence, "--agent: unix:///x: --listen has that already; choose another");
    settings.observe = settings.agent = parse_observe_endpoint("tcp://localhost:0", Serves::Agents);
    EXPECT_EQ(refusal(settings).sentence, "") << "another port each time";
}

TEST(SettingsCheck, port_0_is_another_port_each_time) { EXPECT_EQ(refusal(listening({":0", ":0"})).sentence, ""); }

TEST(SettingsCheck, there_is_at_least_one_endpoint) {
    EXPECT_THAT(refusal(Settings{}).sentence, HasSubstr("at least one"));
}

TEST(SettingsCheck, workers_stay_in_their_range) {
    Settings settings = listening({":7"});
    for (const auto& [min, max] : {std::pair{0, 0}, {1, 1}, {2, 8}, {1024, 1024}}) {
        settings.workers = {.automatic = false, .min = min, .max = max};
        EXPECT_EQ(refusal(settings).sentence, "") << min << ".." << max;
    }
    for (const auto& [min, max] : {std::pair{0, 1}, {2, 1}, {-1, -1}, {-1, 4}, {1, 1025}, {1025, 1025}}) {
        settings.workers = {.automatic = false, .min = min, .max = max};
        EXPECT_THAT(refusal(settings).sentence, StartsWith("--workers: expected")) << min << ".." << max;
    }
}

TEST(SettingsCheck, spare_workers_are_for_a_pool_that_may_grow) {
    Settings settings = listening({":7"});
    settings.spare = {.min = 1, .max = 3};
    settings.workers = {.automatic = false, .min = 1, .max = 8};
    EXPECT_EQ(refusal(settings).sentence, "");
    for (const WorkerCount& fixed : {WorkerCount{}, {.automatic = false, .min = 4, .max = 4}, {.automatic = false}}) {
        settings.workers = fixed;
        EXPECT_EQ(refusal(settings).sentence,
                  "--spare: needs a pool that may grow; give it a range: --workers MIN..MAX");
    }
}

TEST(SettingsCheck, spare_workers_are_within_the_range_of_workers) {
    Settings settings = listening({":7"});
    settings.workers = {.automatic = false, .min = 1, .max = 8};
    for (const SpareCount& spare : {SpareCount{.min = 1, .max = 9}, {.min = 3, .max = 2}, {.min = 0, .max = 2}}) {
        settings.spare = spare;
        EXPECT_THAT(refusal(settings).sentence,
                    StartsWith("--spare: expected MIN..MAX from 1..1 to 8..8, the most that"));
    }
}

TEST(SettingsCheck, no_workers_need_nothing_special) {
    Settings settings = listening({":7", "unix:///x"});
    settings.workers = {.automatic = false};
    settings.model = Model::Serial;
    EXPECT_EQ(refusal(settings).sentence, "");
}

TEST(SettingsCheck, connections_stay_in_their_range) {
    Settings settings = listening({":7"});
    for (const int number : {0, -1, 1'000'001}) {
        settings.connections = number;
        EXPECT_THAT(refusal(settings).sentence, StartsWith("--connections: expected")) << number;
    }
}

TEST(SettingsCheck, a_worker_may_have_the_memory_that_it_needs) {
    Settings settings = listening({":7"});
    for (const std::uint64_t enough : {std::uint64_t{0}, least_max_memory_bytes, least_max_memory_bytes * 100}) {
        settings.max_memory_bytes = enough;
        EXPECT_EQ(refusal(settings).sentence, "") << enough;
    }
    for (const std::uint64_t little : {std::uint64_t{1}, least_max_memory_bytes - 1}) {
        settings.max_memory_bytes = little;
        EXPECT_THAT(refusal(settings).sentence,
                    StartsWith("--max-memory: expected 0 for no limit, or at least 2M, not "));
        EXPECT_EQ(refusal(settings).code, ExitCode::Configuration);
    }
}

TEST(SettingsCheck, the_journal_is_no_file) {
    Settings settings = listening({":7"});
    settings.log.file = "/var/log/x";
    EXPECT_EQ(refusal(settings).sentence, "");
    settings.log.format = LogFormat::Journal;
    EXPECT_THAT(refusal(settings).sentence, StartsWith("--log-format: journal does not go to a file"));
}

TEST(SettingsCheck, as_what_programs_run_is_said_where_there_are_some) {
    EXPECT_EQ(refusal(listening({":7 program=cat nice=5 run-user=git"})).sentence, "");
    EXPECT_THAT(refusal(listening({":7 nice=5"})).sentence,
                HasSubstr("tcp://:7: nice= is for programs, and the handler \"greet\" runs in a worker"));
    Settings settings = listening({":7 limit-as=1G"});
    settings.program = {"cat"};
    EXPECT_EQ(refusal(settings).sentence, "");
    settings.listen.push_back(parse_listen(":8 handler=echo limit-as=1G"));
    EXPECT_THAT(refusal(settings).sentence, HasSubstr("tcp://:8: limit-as= is for programs"));
}

TEST(SettingsCheck, a_handler_with_workers_of_its_own_has_a_user_of_its_own) {
    EXPECT_EQ(refusal(listening({":7 workers=1 run-user=git run-group=git nice=5"})).sentence, "");
    EXPECT_THAT(refusal(listening({":7 workers=1 run-user=git umask=0"})).sentence,
                HasSubstr("of workers run-user=, run-group= and nice= can be said"));
    Settings settings = listening({":7 workers=1 run-user=git"});
    settings.user = "www-data";
    EXPECT_EQ(refusal(settings).sentence, "");
}

TEST(SettingsCheck, services_are_as_large_as_they_say) {
    Settings settings = listening({":7 workers=1000", ":8 workers=23", ":9"});
    EXPECT_EQ(refusal(settings).sentence, "");
    settings.workers = {.automatic = false, .min = 2, .max = 2};
    EXPECT_THAT(refusal(settings).sentence, HasSubstr("--workers: 1025 with those of endpoints are more than 1024"));
    EXPECT_EQ(refusal(listening({":7 workers=1000", ":8 connections=5"})).sentence, "");
    EXPECT_EQ(refusal(listening({":7 workers=1000", ":8 workers=24"})).sentence, "") << "no others are needed";
    settings.workers = {.automatic = false, .min = 1, .max = 2};
    EXPECT_THAT(refusal(settings).sentence, HasSubstr("MIN..MAX does not go with"));
    settings.workers = {.automatic = false};
    EXPECT_THAT(refusal(settings).sentence, HasSubstr("0 is one process for all"));
    settings.workers = {};
    settings.reload = ReloadMode::Rolling;
    EXPECT_THAT(refusal(settings).sentence, HasSubstr("--reload: rolling does not go with"));
}

TEST(SettingsCheck, workers_that_have_become_a_user_become_no_other) {
    Settings settings = listening({":7 program=cat run-user=git run-group=git"});
    settings.user = "www-data";
    EXPECT_THAT(refusal(settings).sentence, HasSubstr("workers of --user www-data cannot start programs as somebody"));
    settings.user = "git";
    EXPECT_THAT(refusal(settings).sentence, HasSubstr("workers of --user git"));
    settings.group = "git";
    EXPECT_EQ(refusal(settings).sentence, "");
}

}  // namespace
}  // namespace preforkd
