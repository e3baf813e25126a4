#include "common/config/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <random>
#include <string>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "common/config/listen_settings.hpp"
#include "common/config/options_table.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using Texts = std::vector<std::string>;

/// A configuration file that is there for one test.
class TextFile {
public:
    explicit TextFile(const std::string& text) { std::ofstream{path_, std::ios::binary} << text; }
    TextFile(const TextFile&) = delete;
    TextFile& operator=(const TextFile&) = delete;
    ~TextFile() { std::remove(path_.c_str()); }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    // Several test programs may run at once.
    std::string path_ = testing::TempDir() + "preforkd." + std::to_string(std::random_device{}()) + ".conf";
};

Settings settings_of(const Texts& arguments, const Texts& environment = {}) {
    return read_options(arguments, environment).settings;
}

Settings settings_in(const std::string& text, Texts arguments = {}) {
    const TextFile file{text};
    arguments.insert(arguments.begin(), {"-C", file.path()});
    return settings_of(arguments);
}

struct Refusal {
    std::string sentence{};
    ExitCode code = ExitCode::Ok;
};

Refusal refusal(const Texts& arguments, const Texts& environment = {}) {
    try {
        static_cast<void>(read_options(arguments, environment));
        return {};
    } catch (const OperatorError& error) {
        EXPECT_TRUE(is_printable(error.what())) << in_quotes(error.what());
        EXPECT_LT(std::string_view{error.what()}.size(), 700u);
        return {.sentence = error.what(), .code = error.code()};
    }
}

/// The sentence of a usage error.
std::string usage_error(const Texts& arguments) {
    const Refusal refused = refusal(arguments);
    EXPECT_EQ(refused.code, ExitCode::Usage) << testing::PrintToString(arguments);
    return refused.sentence;
}

Refusal file_refusal(const std::string& text, Texts arguments = {}) {
    const TextFile file{text};
    arguments.insert(arguments.begin(), {"-C", file.path()});
    Refusal refused = refusal(arguments);
    const auto at = refused.sentence.find(file.path());
    if (at != std::string::npos) refused.sentence.replace(at, file.path().size(), "FILE");
    return refused;
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
    EXPECT_EQ(s.boot_timeout, 500ms);
    EXPECT_EQ(s.worker_timeout, 2h);
    EXPECT_EQ(s.request_timeout, 10min);
    EXPECT_EQ(s.ready_fd, 3);
    EXPECT_EQ(s.reload, ReloadMode::Rolling);
    EXPECT_EQ(s.max_requests, 1000u);
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
          Texts{"--ready-fd", "1"}, Texts{"--idle-timeout", "365d"}, Texts{"--max-requests", "0"}})
        EXPECT_EQ(refusal(words).sentence, "") << testing::PrintToString(words);
}

TEST(Options, the_environment_names_options_in_capitals) {
    const Texts environment{
        "HOME=/",    "PREFORKD_IDLE_TIMEOUT=5s", "PREFORKD_WORKERS=3", "PREFORKDWORKERS=x", "preforkd_workers=x",
        "PREFORKD_X"};
    const Invocation invocation = read_options({}, environment);
    EXPECT_EQ(invocation.settings.idle_timeout, 5s);
    EXPECT_EQ(invocation.settings.workers.max, 3);
    EXPECT_THAT(invocation.warnings, IsEmpty());
}

TEST(Options, endpoints_in_the_environment_stand_on_lines) {
    const Settings s = settings_of({}, {"PREFORKD_LISTEN=:7 handler=echo\n\n  unix:///x mode=0660 \r\n"});
    EXPECT_THAT(s.listen, ElementsAre(parse_listen(":7 handler=echo"), parse_listen("unix:///x mode=0660")));
    EXPECT_FALSE(s.listen_is_default);
}

TEST(Options, an_empty_variable_says_nothing) {
    const Settings s = settings_of({}, {"PREFORKD_WORKERS=", "PREFORKD_LISTEN=", "PREFORKD_CONFIG="});
    EXPECT_TRUE(s.workers.automatic);
    EXPECT_TRUE(s.listen_is_default);
    EXPECT_TRUE(settings_of({}, {"PREFORKD_LISTEN= \n "}).listen_is_default);
}
TEST(Options, the_first_of_two_equal_variables_counts) {
    EXPECT_EQ(settings_of({}, {"PREFORKD_WORKERS=3", "PREFORKD_WORKERS=4"}).workers.max, 3);
}

TEST(Options, unknown_variables_are_warnings) {
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

TEST(Options, a_bad_variable_is_a_configuration_error_that_names_it) {
    const Refusal refused = refusal({}, {"PREFORKD_IDLE_TIMEOUT=soon"});
    EXPECT_EQ(refused.code, ExitCode::Configuration);
    EXPECT_THAT(refused.sentence, StartsWith("PREFORKD_IDLE_TIMEOUT: expected a duration"));
    EXPECT_THAT(refusal({}, {"PREFORKD_LISTEN=:7\nlocalhost:8"}).sentence,
                StartsWith("PREFORKD_LISTEN: \"localhost:8\""));
}

TEST(Options, a_file_has_the_same_options) {
    const Settings s = settings_in(
        "# comment\nlisten = tcp://:7 handler=echo  # echo\nlisten=unix:///a#b\nworkers = 2..4\ngreeting = \"a # "
        "b\\n\"\n");
    EXPECT_THAT(s.listen, ElementsAre(parse_listen(":7 handler=echo"), parse_listen("unix:///a#b")));
    EXPECT_EQ(s.workers.max, 4);
    EXPECT_EQ(s.greeting, "a # b\n");
}

TEST(Options, the_environment_may_name_the_file) {
    const TextFile file{"workers = 3"};
    EXPECT_EQ(settings_of({}, {"PREFORKD_CONFIG=" + file.path()}).workers.max, 3);
    EXPECT_EQ(settings_of({"-C", file.path()}, {"PREFORKD_CONFIG=/nowhere"}).workers.max, 3);
}

TEST(Options, a_bad_line_is_a_configuration_error_that_names_file_and_line) {
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

TEST(Options, a_file_that_cannot_be_read_is_a_configuration_error) {
    for (const char* file : {"/nowhere/x.conf", "/", "/dev/zero", "a\nb"}) {
        const Refusal refused = refusal({"-C", file});
        EXPECT_EQ(refused.code, ExitCode::Configuration) << file;
        EXPECT_THAT(refused.sentence, StartsWith("--config: cannot read ")) << file;
    }
    EXPECT_THAT(refusal({}, {"PREFORKD_CONFIG=/nowhere"}).sentence,
                AllOf(StartsWith("PREFORKD_CONFIG: "), HasSubstr("No such file")));
}

TEST(Options, the_command_line_goes_before_the_environment_before_the_file) {
    const TextFile file{"workers = 1\nconnections = 1\nbacklog = 1\n"};
    const Settings s = settings_of({"-w", "3", "-C", file.path()}, {"PREFORKD_WORKERS=2", "PREFORKD_CONNECTIONS=2"});
    EXPECT_EQ(s.workers.max, 3);
    EXPECT_EQ(s.connections, 2);
    EXPECT_EQ(s.backlog, 1);
}

TEST(Options, endpoints_replace_those_of_lower_places) {
    const TextFile file{"listen = :1\nlisten = :2\n"};
    EXPECT_THAT(settings_of({"-C", file.path(), "-l", ":5"}, {"PREFORKD_LISTEN=:3\n:4"}).listen,
                ElementsAre(parse_listen(":5")));
    EXPECT_THAT(settings_of({"-C", file.path()}, {"PREFORKD_LISTEN=:3\n:4"}).listen,
                ElementsAre(parse_listen(":3"), parse_listen(":4")));
    EXPECT_THAT(settings_of({"-C", file.path()}).listen, ElementsAre(parse_listen(":1"), parse_listen(":2")));
}

TEST(Options, a_bad_value_is_refused_even_where_it_is_outvoted) {
    EXPECT_EQ(refusal({"-w", "2"}, {"PREFORKD_WORKERS=x"}).code, ExitCode::Configuration);
    EXPECT_EQ(file_refusal("workers = x", {"-w", "2"}).code, ExitCode::Configuration);
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
