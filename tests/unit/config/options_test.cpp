#include "common/config/options.hpp"

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

/// The sentence of a usage error.
std::string usage_error(const Texts& arguments) {
    const Refusal refused = refusal(arguments);
    EXPECT_EQ(refused.code, ExitCode::Usage) << testing::PrintToString(arguments);
    return refused.sentence;
}

TEST(Options, nothing_said_means_the_defaults) {
    const Invocation invocation = read_options({}, {});
    EXPECT_EQ(invocation.task, Task::Serve);
    EXPECT_THAT(invocation.settings.listen, ElementsAre(parse_listen("tcp://:10000")));
    EXPECT_TRUE(invocation.settings.listen_is_default);
    EXPECT_EQ(invocation.settings.handler, "greet");
    EXPECT_EQ(invocation.settings.workers, WorkerCount{});
    EXPECT_EQ(invocation.settings.model, std::nullopt);
    EXPECT_EQ(invocation.settings.idle_timeout, 60s);
    EXPECT_THAT(invocation.warnings, IsEmpty());
    EXPECT_THAT(invocation.origins, IsEmpty());
}

TEST(Options, every_option_is_read) {
    const Settings s = settings_of({"--listen",
                                    "tcp://:7 handler=echo backlog=511",
                                    "--listen=:8",
                                    "--handler",
                                    "print",
                                    "--workers",
                                    "2..8",
                                    "--model=fork",
                                    "--connections",
                                    "5",
                                    "--backlog=100",
                                    "--idle-timeout",
                                    "1m30s",
                                    "--drain-delay",
                                    "5s",
                                    "--stop-timeout",
                                    "0",
                                    "--reload-timeout",
                                    "8h",
                                    "--boot-timeout",
                                    "500ms",
                                    "--worker-timeout",
                                    "2h",
                                    "--request-timeout",
                                    "10m",
                                    "--ready-fd",
                                    "3",
                                    "--reload",
                                    "rolling",
                                    "--max-requests",
                                    "1000",
                                    "--line-max=64K",
                                    "--stderr-rate=5/s",
                                    "--user=www-data",
                                    "--group=33",
                                    "--chdir=/",
                                    "--umask=027",
                                    "--name=web",
                                    "--greeting",
                                    "hi there",
                                    "--log-level",
                                    "debug",
                                    "--log-format",
                                    "json",
                                    "--log-file",
                                    "/var/log/x",
                                    "--log-connections",
                                    "no"});
    EXPECT_THAT(s.listen, ElementsAre(parse_listen("tcp://:7 handler=echo backlog=511"), parse_listen("tcp://:8")));
    EXPECT_FALSE(s.listen_is_default);
    EXPECT_EQ(s.handler, "print");
    EXPECT_EQ(s.workers, (WorkerCount{.automatic = false, .min = 2, .max = 8}));
    EXPECT_EQ(s.model, Model::Fork);
    EXPECT_EQ(s.connections, 5);
    EXPECT_EQ(s.backlog, 100);
    EXPECT_EQ(s.idle_timeout, 90s);
    EXPECT_EQ(s.drain_delay, 5s);
    EXPECT_EQ(s.stop_timeout, 0s);
    EXPECT_EQ(s.reload_timeout, 8h);
    EXPECT_EQ(s.boot_timeout, 500ms);
    EXPECT_EQ(s.worker_timeout, 2h);
    EXPECT_EQ(s.request_timeout, 10min);
    EXPECT_EQ(s.ready_fd, 3);
    EXPECT_EQ(s.reload, ReloadMode::Rolling);
    EXPECT_EQ(s.max_requests, 1000u);
    EXPECT_EQ(s.line_max_bytes, 64u << 10);
    EXPECT_EQ(s.stderr_rate, 5u);
    EXPECT_EQ(s.user, "www-data");
    EXPECT_EQ(s.group, "33");
    EXPECT_EQ(s.chdir, "/");
    EXPECT_EQ(s.umask, 027u);
    EXPECT_EQ(s.name, "web");
    EXPECT_EQ(s.greeting, "hi there");
    EXPECT_EQ(s.log.level, LogLevel::Debug);
    EXPECT_EQ(s.log.format, LogFormat::Json);
    EXPECT_EQ(s.log.file, "/var/log/x");
    EXPECT_EQ(s.log_connections, LogConnections::No);
}
TEST(Options, what_a_reload_replaces_may_finish_for_ever_or_as_at_a_stop_if_nobody_says) {
    EXPECT_EQ(settings_of({}).reload_timeout, std::nullopt);
    EXPECT_EQ(settings_of({"--reload-timeout", "never"}).reload_timeout, 0s);
    EXPECT_EQ(settings_of({"--reload-timeout", "0"}).reload_timeout, 0s);
}

TEST(Options, short_forms_mean_the_same) {
    const Settings s = settings_of({"-l", ":7", "-l:8", "-Hecho", "-w4", "-m", "serial", "-c", "9"});
    EXPECT_EQ(s.listen.size(), 2u);
    EXPECT_EQ(s.handler, "echo");
    EXPECT_EQ(s.workers, (WorkerCount{.automatic = false, .min = 4, .max = 4}));
    EXPECT_EQ(s.model, Model::Serial);
    EXPECT_EQ(s.connections, 9);
}

TEST(Options, tasks_are_asked_for) {
    EXPECT_EQ(read_options({"--help"}, {}).task, Task::Help);
    EXPECT_EQ(read_options({"-h"}, {}).task, Task::Help);
    EXPECT_EQ(read_options({"--version"}, {}).task, Task::Version);
    EXPECT_EQ(read_options({"-V"}, {}).task, Task::Version);
    EXPECT_EQ(read_options({"--check-config"}, {}).task, Task::CheckConfig);
    EXPECT_EQ(read_options({"--print-config"}, {}).task, Task::PrintConfig);
    EXPECT_EQ(read_options({"--list-handlers"}, {}).task, Task::ListHandlers);
}

TEST(Options, help_and_version_work_beside_settings_that_do_not) {
    EXPECT_EQ(read_options({"--help", "--workers", "x", "-C", "/nowhere"}, {"PREFORKD_MODEL=x"}).task, Task::Help);
    EXPECT_EQ(read_options({"--version", "--help", "--help"}, {"PREFORKD_CONFIG=/nowhere"}).task, Task::Help);
    EXPECT_EQ(read_options({"--list-handlers"}, {"PREFORKD_MODEL=x"}).task, Task::ListHandlers);
}

TEST(Options, what_follows_two_dashes_is_the_program) {
    EXPECT_THAT(settings_of({"-w", "2", "--", "/bin/sh", "-c", "--workers", "--", ""}).program,
                ElementsAre("/bin/sh", "-c", "--workers", "--", ""));
    EXPECT_THAT(usage_error({"--"}), HasSubstr("no program stands behind --"));
    EXPECT_THAT(usage_error({"--", "", "x"}), HasSubstr("no program stands behind --"));
    EXPECT_THAT(usage_error({"--handler", "--", "x"}), HasSubstr("--handler: has no value"));
}

TEST(Options, a_word_without_dashes_is_refused_with_a_remedy) {
    EXPECT_THAT(usage_error({"/bin/cat"}), HasSubstr("-- PROGRAM"));
    EXPECT_THAT(usage_error({"-l", ":7", "handler=echo"}), HasSubstr("--listen 'ENDPOINT key=value'"));
    for (const char* word : {"", "-", "--=x"}) EXPECT_THAT(usage_error({word}), HasSubstr("is not an option")) << word;
}

TEST(Options, an_unknown_option_is_answered_with_the_nearest) {
    EXPECT_EQ(usage_error({"--worker", "3"}), "unknown option \"--worker\"; did you mean --workers?");
    EXPECT_EQ(usage_error({"--Log_Level=info"}), "unknown option \"--Log_Level\"; did you mean --log-level?");
    EXPECT_EQ(usage_error({"--w", "3"}), "unknown option \"--w\"; did you mean -w?");
    EXPECT_EQ(usage_error({"--frobnicate"}), "unknown option \"--frobnicate\"; see preforkd --help");
    EXPECT_EQ(usage_error({"-z"}), "unknown option \"-z\"; see preforkd --help");
    EXPECT_EQ(usage_error({"-workers", "3"}), "-workers needs two dashes: --workers");
}
TEST(Options, no_abbreviation_is_guessed) {
    for (const char* word : {"--work=3", "--li=:7", "--idle=3s", "--he", "--vers"})
        EXPECT_THAT(usage_error({word}), StartsWith("unknown option"));
}

TEST(Options, a_missing_value_is_named) {
    for (const Texts& words : {Texts{"--workers"}, Texts{"-w"}, Texts{"--workers="}, Texts{"--workers=", "3"}})
        EXPECT_EQ(usage_error(words), "--workers: has no value; write --workers N|MIN..MAX|auto");
    EXPECT_THAT(usage_error({"--handler", "--workers", "3"}),
                HasSubstr("--handler: has no value, --workers is an option"));
    EXPECT_EQ(settings_of({"--greeting=--workers"}).greeting, "--workers");
    EXPECT_EQ(settings_of({"--greeting", ""}).greeting, "");
    EXPECT_EQ(usage_error({"--help=yes"}), "--help: takes no value; write --help");
}

TEST(Options, an_option_is_given_once) {
    EXPECT_EQ(usage_error({"-w", "2", "--workers=2"}), "--workers: given twice; keep one");
    EXPECT_EQ(usage_error({"--check-config", "--check-config"}), "--check-config: given twice; keep one");
    EXPECT_EQ(file_refusal("workers = 2\n\nworkers = 3").sentence.substr(0, 6), "FILE:3");
}

TEST(Options, a_bad_value_is_answered_with_what_is_expected) {
    EXPECT_EQ(usage_error({"-m", "prefork"}), "--model: expected async, serial, thread or fork, not \"prefork\"");
    EXPECT_EQ(usage_error({"-c", "0"}), "--connections: expected a number from 1 to 1000000, not \"0\"");
    EXPECT_THAT(usage_error({"-l", "localhost:80"}), AllOf(StartsWith("--listen: "), HasSubstr("tcp://localhost:80")));
    EXPECT_THAT(usage_error({"-l", ":7 backlog=0"}), AllOf(StartsWith("--listen: "), HasSubstr("backlog: ")));
    for (const auto& [option, values] : std::vector<std::pair<std::string, Texts>>{
             {"--workers",
              {"", "-1", "1025", "many", "0..2", "1..1025", "1..", "..2", "1..2..3", "1...2", " 1", "1.5", "AUTO",
               "+1"}},
             {"--model", {"", "Async", "async "}},
             {"--connections", {"", "-1", "1000001", "1k", "18446744073709551617"}},
             {"--backlog", {"", "0", "2147483648", "x"}},
             {"--idle-timeout", {"", "x", "-1s", "1w", "1 m", "366d"}},
             {"--boot-timeout", {"x"}},
             {"--worker-timeout", {"x"}},
             {"--request-timeout", {"x"}},
             {"--ready-fd", {"", "-1", "0", "2", "x", "4294967299"}},
             {"--reload", {"", "Rolling", "yes"}},
             {"--max-requests", {"", "-1", "1000000000001", "x"}},
             {"--max-memory", {"", "-1", "200 M", "x"}},
             {"--line-max", {"", "-1", "1 M", "x"}},
             {"--stderr-rate", {"", "0/s", "1000", "1/m", "1000001/s"}},
             {"--spare", {"", "0", "0..1", "1..1025", "1.2", "auto"}},
             {"--user", {"", "a b", "\x1b"}},
             {"--group", {"", "a\tb"}},
             {"--handler", {"", "a b"}},
             {"--chdir", {"", std::string(5000, '/')}},
             {"--umask", {"", "8", "1000", "-1", "0x7"}},
             {"--log-level", {"", "INFO", "trace"}},
             {"--log-format", {"", "xml"}},
             {"--log-file", {"", std::string{"a\0b", 3}}},
             {"--log-connections", {"", "maybe"}},
             {"--name", {"", "a/b", ".x", "-x"}},
             {"--config", {""}}})
        for (const std::string& value : values)
            EXPECT_THAT(usage_error({option, value}), AllOf(StartsWith(option + ": expected "), HasSubstr("not \"")))
                << option << ' ' << value;
}

TEST(Options, limits_are_themselves_allowed) {
    for (const Texts& words :
         {Texts{"-w", "0"}, Texts{"-w", "1024"}, Texts{"-w", "1..1024"}, Texts{"-w", "auto"}, Texts{"-c", "1"},
          Texts{"-c", "1000000"}, Texts{"--backlog", "2147483647"}, Texts{"--umask", "0"}, Texts{"--umask", "0777"},
          Texts{"--ready-fd", "1"}, Texts{"--idle-timeout", "365d"}, Texts{"--max-requests", "0"},
          Texts{"--line-max", "0"}, Texts{"--stderr-rate", "off"}})
        EXPECT_EQ(refusal(words).sentence, "") << testing::PrintToString(words);
}

TEST(Options, hostile_arguments_are_refused_in_one_printable_line) {
    const std::string nul("a\0b", 3);
    for (const std::string& word :
         {nul, "--" + nul, "-" + nul, "--handler=" + nul, std::string{"--\x1b[2J"}, std::string{"-\xff"},
          std::string{"--\xff=\n"}, "--" + std::string(100'000, 'x'), std::string(100'000, '-'),
          "-w" + std::string(100'000, '9'), "--listen=" + std::string(100'000, '\n'),
          "--user=\xe2\x80\xae" + std::string(9, '%')})
        EXPECT_NE(usage_error({word}), "") << in_quotes(word);
}

}  // namespace
}  // namespace preforkd
