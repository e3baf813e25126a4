#include "common/config/config_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"

namespace preforkd {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::vector<ConfigLine> parse(std::string_view text) { return parse_config(text, "f"); }

/// The value of the one line `name = value`.
std::string value_of(const std::string& value) {
    const auto lines = parse("name = " + value);
    EXPECT_EQ(lines.size(), 1u);
    return lines.empty() ? "" : lines.front().value;
}

std::string text_refusal(std::string_view text, std::string_view file = "f") {
    try {
        static_cast<void>(parse_config(text, file));
        return {};
    } catch (const OperatorError& error) {
        EXPECT_EQ(error.code(), ExitCode::Configuration);
        EXPECT_TRUE(is_printable(error.what())) << in_quotes(error.what());
        EXPECT_LT(std::string_view{error.what()}.size(), 500u);
        return error.what();
    }
}

TEST(ConfigFile, a_line_has_a_name_a_value_and_a_place) {
    EXPECT_EQ(parse("a = 1\n\n  b=2 3 \n# c = 4\n\td\t=\t5"),
              (std::vector<ConfigLine>{{"a", "1", "f:1"}, {"b", "2 3", "f:3"}, {"d", "5", "f:5"}}));
}

TEST(ConfigFile, a_file_that_says_nothing_is_fine) {
    for (const char* text : {"", "\n", "\n\n", "# x", "   \t\r\n", "\xef\xbb\xbf", "\xef\xbb\xbf# x\n"})
        EXPECT_TRUE(parse(text).empty());
}

TEST(ConfigFile, line_ends_of_other_systems_and_a_byte_order_mark_are_understood) {
    EXPECT_EQ(parse("\xef\xbb\xbf"
                    "a = 1\r\nb = \"2\"\r\n"),
              (std::vector<ConfigLine>{{"a", "1", "f:1"}, {"b", "2", "f:2"}}));
}

TEST(ConfigFile, a_comment_begins_behind_a_blank) {
    EXPECT_EQ(value_of("x # y"), "x");
    EXPECT_EQ(value_of("x\t# y"), "x");
    EXPECT_EQ(value_of("unix:///a#b"), "unix:///a#b");
    EXPECT_EQ(value_of("# y"), "");
    EXPECT_EQ(value_of("a=b=c"), "a=b=c");
}

TEST(ConfigFile, in_quotes_everything_counts) {
    EXPECT_EQ(value_of(R"(" x # y ")"), " x # y ");
    EXPECT_EQ(value_of(R"("a\n\r\t\\\"\x1b\xFF" # z)"), "a\n\r\t\\\"\x1b\xff");
    EXPECT_EQ(value_of(R"("\x41b")"), "Ab");
    EXPECT_EQ(value_of(R"("\x00b")"), (std::string{"\0b", 2}));
    EXPECT_EQ(value_of(R"("")"), "");
    EXPECT_EQ(value_of(R"(say "x")"), R"(say "x")");
}

TEST(ConfigFile, what_is_no_line_is_refused_with_its_place) {
    EXPECT_THAT(text_refusal("a = 1\nworkers 3\n"), StartsWith("f:2: expected `name = value`"));
    EXPECT_THAT(text_refusal("[section"), StartsWith("f:1: expected [ENDPOINT]"));
    EXPECT_THAT(text_refusal("a # = 1"), StartsWith("f:1: expected `name = value`"));
    EXPECT_THAT(text_refusal("\n\n = 1"), StartsWith("f:3: expected a name"));
    EXPECT_THAT(text_refusal(R"(a = "x)"), HasSubstr("closing quote"));
    EXPECT_THAT(text_refusal(R"(a = "x\")"), HasSubstr("closing quote"));
    EXPECT_THAT(text_refusal(R"(a = ")"), HasSubstr("closing quote"));
    EXPECT_THAT(text_refusal(R"(a = "x" y)"), HasSubstr("behind the closing quote"));
    EXPECT_THAT(text_refusal(R"(a = "x"#y)"), HasSubstr("behind the closing quote"));
    for (const char* value : {R"("\q")", R"("\x")", R"("\x1")", R"("\xg0")", R"("\x+1")", R"("\x 1")", R"("\)"})
        EXPECT_THAT(text_refusal(std::string{"a = "} + value), HasSubstr("unknown escape")) << value;
}

TEST(ConfigFile, hostile_text_is_refused_in_one_printable_line) {
    EXPECT_THAT(text_refusal(std::string{"a = b\0c", 7}), HasSubstr("NUL"));
    EXPECT_THAT(text_refusal(std::string{"# \0", 3}), HasSubstr("NUL"));
    EXPECT_NE(text_refusal("\x1b[2J\xff\xfe"), "");
    EXPECT_NE(text_refusal(std::string(1'000'000, 'x')), "");
    EXPECT_NE(text_refusal(std::string(1'000'000, '=')), "");
    EXPECT_THAT(text_refusal("x", "a\nb\x1b"), StartsWith(R"(a\nb\x1b:1: )"));
    EXPECT_NE(text_refusal("x", std::string(5000, 'f')), "");
}

TEST(ConfigFile, lines_of_several_files_know_where_they_stand) {
    std::string text = "a = 1";
    append_config(text,
                  "\xef\xbb\xbf"
                  "b = 2\n\nc = 3\n",
                  "d/x");
    append_config(text, "", "d/y");
    append_config(text, "[e]", "d/z");
    EXPECT_EQ(parse(text), (std::vector<ConfigLine>{{"a", "1", "f:1", false, 0},
                                                    {"b", "2", "d/x:1", false, 1},
                                                    {"c", "3", "d/x:3", false, 1},
                                                    {"e", "", "d/z:1", true, 3}}));
}

TEST(ConfigFile, no_file_can_begin_another) {
    EXPECT_THROW(require_text(std::string_view{"a = 1\n\0x\nb = 2", 14}, "f"), OperatorError);
    EXPECT_NO_THROW(require_text("a = 1\n", "f"));
}

TEST(ConfigFile, of_a_directory_the_files_count_whose_name_ends_so_in_byte_order) {
    const std::filesystem::path directory = testing::TempDir() + "conf.d." + std::to_string(::getpid());
    EXPECT_TRUE(config_directory_files(directory).empty());
    std::filesystem::create_directory(directory);
    for (const char* name : {"b.conf", "B.conf", "10.conf", "9.conf", ".h.conf", "a.conf.dpkg-old", "a.conf~"})
        std::ofstream{directory / name} << "\n";
    std::vector<std::string> expected;
    for (const char* name : {"10.conf", "9.conf", "B.conf", "b.conf"}) expected.push_back(directory / name);
    EXPECT_EQ(config_directory_files(directory), expected);
    std::filesystem::remove_all(directory);
}

TEST(ConfigFile, a_value_is_quoted_only_where_that_is_needed) {
    for (const char* value : {"x", "a b", "unix:///a#b", "say \"x\"", "a\\b", "a=b", "gr\xc3\xbcn"})
        EXPECT_EQ(config_value(value), value);
    for (const char* value : {"", " x", "x ", "\"x\"", "#x", "a #b", "a\nb", "\x1b", "\xff"})
        EXPECT_THAT(config_value(value), StartsWith("\""));
}

TEST(ConfigFile, every_value_is_read_back) {
    for (int a = 0; a < 256; ++a)
        for (const char b : {'x', ' ', '#', '"', '\\', '\n', '\0'}) {
            const std::string value{b, static_cast<char>(a), b, ' ', static_cast<char>(a)};
            ASSERT_EQ(value_of(config_value(value) + "  # default"), value) << a << ' ' << b;
        }
}

TEST(ConfigFile, a_file_that_was_emptied_is_told_from_one_that_was_commented_out) {
    const char* const settings = "# words\nhandler = echo\n";
    EXPECT_EQ(compare_configs(settings, settings), Emptied::No);
    EXPECT_EQ(compare_configs(settings, "greeting = x"), Emptied::No);
    EXPECT_EQ(compare_configs(settings, ""), Emptied::Blank);
    EXPECT_EQ(compare_configs(settings, "\n \t\n"), Emptied::Blank);
    EXPECT_EQ(compare_configs(settings, "# words\n#handler = echo\n"), Emptied::AllCommented);
    EXPECT_EQ(compare_configs("", ""), Emptied::No);
    EXPECT_EQ(compare_configs("# words\n", ""), Emptied::No) << "it has held no setting";
}

}  // namespace
}  // namespace preforkd
