#include "common/config/options_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "common/config/listen_settings.hpp"
#include "common/config/options_table.hpp"
#include "tests/unit/config/options_fixture.hpp"

namespace preforkd {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string printed(Texts arguments, const Texts& environment = {}) {
    arguments.insert(arguments.begin(), "--print-config");
    return read_options(arguments, environment).printed_config;
}

/// The lines of `text` without what stands behind their last `  # `.
Texts without_origins(const std::string& text) {
    Texts lines;
    std::istringstream stream{text};
    for (std::string line; std::getline(stream, line);) lines.push_back(line.substr(0, line.rfind("  # ")));
    return lines;
}

const Texts everything{"-l",
                       "tcp://:7 handler=echo backlog=511 linger=off",
                       "-l",
                       "unix:///a#b mode=0660 user=x",
                       "-H",
                       "print",
                       "-w",
                       "2..8",
                       "-m",
                       "fork",
                       "-c",
                       "5",
                       "--backlog",
                       "100",
                       "--idle-timeout",
                       "90",
                       "--drain-delay",
                       "5s",
                       "--stop-timeout",
                       "0",
                       "--reload-timeout",
                       "never",
                       "--boot-timeout",
                       "500ms",
                       "--worker-timeout",
                       "2h",
                       "--ready-fd",
                       "3",
                       "--reload",
                       "rolling",
                       "--max-requests",
                       "1000",
                       "--user",
                       "www-data",
                       "--group",
                       "33",
                       "--chdir",
                       "/a # b",
                       "--umask",
                       "027",
                       "--greeting",
                       " \"hi\" # \n\x1b\xff\\",
                       "--log-level",
                       "debug",
                       "--log-format",
                       "json",
                       "--log-file",
                       "/x\ny",
                       "--log-connections",
                       "no",
                       "--line-max",
                       "65537",
                       "--stderr-rate",
                       "5/s"};

TEST(OptionsText, every_value_is_printed_with_its_origin) {
    const TextFile file{"\nbacklog = 7\n"};
    const std::string text = printed({"-w", "2", "-C", file.path()}, {"PREFORKD_LISTEN=:7\n:8 handler=echo"});
    EXPECT_THAT(text, HasSubstr("listen = tcp://:7  # environment PREFORKD_LISTEN\nlisten = tcp://:8 handler=echo  # "
                                "environment PREFORKD_LISTEN\n"));
    EXPECT_THAT(text, HasSubstr("\nworkers = 2  # command line\n"));
    EXPECT_THAT(text, HasSubstr("\nbacklog = 7  # " + file.path() + ":2\n"));
    EXPECT_THAT(text, HasSubstr("\nhandler = greet  # default\n"));
    EXPECT_THAT(text, HasSubstr("\n# config = " + file.path() + "  # command line\n"));
}

TEST(OptionsText, what_is_unset_is_a_comment_with_its_meaning) {
    EXPECT_THAT(printed({}), HasSubstr("\n# model =  # default: the handler's own\n"));
    EXPECT_THAT(printed({}), StartsWith("# listen = tcp://:10000  # default"));
}

TEST(OptionsText, the_program_is_an_option_in_one_line) {
    EXPECT_THAT(printed({"--", "/bin/sh", "-c", "echo\nx"}),
                HasSubstr("\nprogram = /bin/sh -c \"echo\\nx\"  # command line\n"));
}

TEST(OptionsText, every_option_that_can_be_set_is_there) {
    for (const std::string& text : {printed({}), printed(everything)})
        for (const OptionRow& row : option_table())
            if (row.in_file()) {
                EXPECT_THAT('\n' + text, ContainsRegex("\n(# )?" + std::string{row.name} + " = ?")) << text;
            }
}

TEST(OptionsText, what_is_printed_is_read_back) {
    for (const Texts& arguments :
         {Texts{}, everything, Texts{"-w", "0", "--greeting", ""}, Texts{"-l", "fd://x", "--umask", "0"}}) {
        const std::string text = printed(arguments);
        const TextFile file{text};
        const Invocation again = read_options({"--print-config", "-C", file.path()}, {});
        Texts lines = without_origins(again.printed_config);
        ASSERT_FALSE(lines.empty());
        EXPECT_THAT(lines.back(), StartsWith("# config = "));
        lines.pop_back();
        EXPECT_EQ(lines, without_origins(text));
        const Settings first = read_options(arguments, {}).settings;
        EXPECT_EQ(again.settings.listen, first.listen);
        EXPECT_EQ(again.settings.listen_is_default, first.listen_is_default);
        EXPECT_EQ(again.settings.greeting, first.greeting);
        EXPECT_EQ(again.settings.log.file, first.log.file);
        EXPECT_EQ(again.settings.umask, first.umask);
        EXPECT_EQ(again.settings.model, first.model);
    }
}

TEST(OptionsText, the_file_is_printed_only_when_asked) {
    EXPECT_EQ(read_options({"--check-config"}, {}).printed_config, "");
}

TEST(OptionsText, help_begins_with_the_usage) {
    EXPECT_THAT(help_text(), StartsWith("Usage: preforkd [OPTION...] [-- PROGRAM [ARG...]]\n"));
}

TEST(OptionsText, a_program_of_ones_own_speaks_as_itself) {
    const Program upper{.name = "upper", .handler = "upper", .greets = false};
    const auto refusal = [&](const Texts& arguments) -> std::string {
        try {
            static_cast<void>(read_options(arguments, {}, upper));
            return {};
        } catch (const OperatorError& error) { return error.what(); }
    };
    EXPECT_EQ(refusal({"--frobnicate"}), "unknown option \"--frobnicate\"; see upper --help");
    EXPECT_EQ(refusal({"--greetin"}), "unknown option \"--greetin\"; see upper --help");
    EXPECT_EQ(refusal({"-z"}), "unknown option \"-z\"; see upper --help");
    EXPECT_THAT(refusal({"/bin/cat"}), HasSubstr("upper [OPTION...] -- PROGRAM"));
    EXPECT_EQ(refusal({"--greeting", "hi"}),
              "--greeting: is for the handler greet, which upper has not; leave it away");
    EXPECT_EQ(read_options({}, {"PREFORKD_GREETING=hi"}, upper).warnings,
              Texts{"PREFORKD_GREETING is not an option of upper, ignored"});
    EXPECT_EQ(read_options({}, {"PREFORKD_X=1"}, upper).warnings,
              Texts{"PREFORKD_X is not an option of upper, ignored"});
    EXPECT_EQ(read_options({}, {}, upper).settings.handler, "upper");
    EXPECT_THAT(read_options({"--print-config"}, {}, upper).printed_config, Not(HasSubstr("greeting")));
    EXPECT_THAT(help_text(upper), AllOf(StartsWith("Usage: upper [OPTION...]"), Not(HasSubstr("--greeting"))));
    EXPECT_THAT(version_text(upper), StartsWith("upper (preforkd "));
    EXPECT_THAT(version_text({}), StartsWith("preforkd "));
}

TEST(OptionsText, help_fits_100_columns) {
    std::istringstream stream{help_text()};
    for (std::string line; std::getline(stream, line);) {
        EXPECT_LE(line.size(), 100u) << line;
        EXPECT_FALSE(line.ends_with(' ')) << line;
    }
}

TEST(OptionsText, help_names_every_option_and_every_key) {
    const std::string help = help_text();
    for (const OptionRow& row : option_table()) {
        EXPECT_THAT(help, HasSubstr(" --" + std::string{row.name} +
                                    (row.takes_value() ? ' ' + std::string{row.argument} : "")));
        if (row.letter != 0) {
            EXPECT_THAT(help, HasSubstr(std::string{"  -"} + row.letter + ", --" + std::string{row.name}));
        }
    }
    for (const ListenKey& key : listen_keys()) EXPECT_THAT(help, HasSubstr("\n  " + std::string{key.name} + "="));
}

TEST(OptionsText, names_and_letters_are_unique) {
    for (const OptionRow& row : option_table()) {
        EXPECT_EQ(find_option(row.name), &row) << row.name;
        if (row.letter != 0) { EXPECT_EQ(find_option(row.letter), &row) << row.name; }
    }
}

}  // namespace
}  // namespace preforkd
