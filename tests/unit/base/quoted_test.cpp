#include "common/base/quoted.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace preforkd {
namespace {

TEST(Quoted, plain_text_stays_as_it_is) {
    EXPECT_EQ(in_quotes("hello world"), "\"hello world\"");
    EXPECT_EQ(in_quotes("gr\xc3\xbc\xc3\x9f \xe4\xbd\xa0 \xf0\x9f\x98\x80"),
              "\"gr\xc3\xbc\xc3\x9f \xe4\xbd\xa0 \xf0\x9f\x98\x80\"");
    EXPECT_EQ(in_quotes(""), "\"\"");
}

TEST(Quoted, control_characters_quotes_and_backslashes_are_escaped) {
    EXPECT_EQ(in_quotes(std::string{"a\0b", 3}), R"("a\x00b")");
    EXPECT_EQ(in_quotes("\n\r\t\x1b[2J\x7f"), R"("\n\r\t\x1b[2J\x7f")");
    EXPECT_EQ(in_quotes(R"(say "\")"), R"("say \"\\\"")");
}

TEST(Quoted, what_a_terminal_obeys_is_escaped) {
    EXPECT_EQ(in_quotes("\xc2\x9b"
                        "2J"),
              R"("\xc2\x9b2J")");                               // CSI as one character
    EXPECT_EQ(in_quotes("\xe2\x80\xa8"), R"("\xe2\x80\xa8")");  // line separator
    EXPECT_EQ(in_quotes("\xe2\x80\xae"
                        "abc"),
              R"("\xe2\x80\xaeabc")");  // right-to-left override
}

TEST(Quoted, bytes_that_are_no_utf8_are_escaped) {
    EXPECT_EQ(in_quotes("\xff"), R"("\xff")");
    EXPECT_EQ(in_quotes("\xc3"), R"("\xc3")");                          // cut short
    EXPECT_EQ(in_quotes("\xc0\xaf"), R"("\xc0\xaf")");                  // overlong
    EXPECT_EQ(in_quotes("\xe0\x80\xaf"), R"("\xe0\x80\xaf")");          // overlong
    EXPECT_EQ(in_quotes("\xed\xa0\x80"), R"("\xed\xa0\x80")");          // surrogate
    EXPECT_EQ(in_quotes("\xf4\x90\x80\x80"), R"("\xf4\x90\x80\x80")");  // above U+10FFFF
    EXPECT_EQ(in_quotes("\xf8\x88\x80\x80\x80"), R"("\xf8\x88\x80\x80\x80")");
    EXPECT_EQ(in_quotes("\xc3"
                        "a"),
              R"("\xc3a")");
}

TEST(Quoted, long_text_is_cut_between_characters) {
    const std::string cut = in_quotes(std::string(5000, 'x'));
    EXPECT_EQ(cut, '"' + std::string(200, 'x') + "...\" (5000 bytes)");
    EXPECT_EQ(in_quotes(std::string(200, 'x')), '"' + std::string(200, 'x') + '"');
    std::string umlauts = "x";
    for (int i = 0; i < 100; ++i) umlauts += "\xc3\xbc";
    EXPECT_TRUE(is_printable(in_quotes(umlauts)));
    EXPECT_TRUE(is_printable(in_quotes(std::string(1000, '\0'))));
}

TEST(Quoted, the_whole_text_is_never_cut) { EXPECT_EQ(in_quotes_uncut(std::string(5000, 'x')).size(), 5002u); }

TEST(Quoted, a_printable_name_needs_no_quotes) {
    EXPECT_EQ(printable("/etc/a b\"c\\d.conf"), "/etc/a b\"c\\d.conf");
    EXPECT_EQ(printable("/etc/\n.conf"), R"(/etc/\n.conf)");
    EXPECT_EQ(printable(std::string(201, 'x')), std::string(200, 'x') + "...");
    EXPECT_EQ(printable_uncut(std::string(201, 'x')), std::string(201, 'x'));
    EXPECT_EQ(printable_uncut(std::string(201, 'x') + '\n'), std::string(201, 'x') + "\\n");
}

TEST(Quoted, lines_stay_lines) {
    EXPECT_EQ(printable_lines("a \"b\" \\ \xc3\xbc\n\tc\x1b[2J\xc2\x9b\xff\n"),
              "a \"b\" \\ \xc3\xbc\n\\tc\\x1b[2J\\xc2\\x9b\\xff\n");
    EXPECT_EQ(printable_lines(std::string(5000, 'x')).size(), 5000u);
}

TEST(Quoted, json_stays_json) {
    EXPECT_EQ(printable_json("{\"a\":\"\xc3\xbc\x7f\xc2\x9b\xe2\x80\xae\"}\n"),
              "{\"a\":\"\xc3\xbc\\u007f\\u009b\\u202e\"}\n");
}

TEST(Quoted, every_pair_of_bytes_becomes_printable) {
    for (int a = 0; a < 256; ++a)
        for (int b = 0; b < 256; ++b) {
            const std::string text{static_cast<char>(a), static_cast<char>(b)};
            ASSERT_TRUE(is_printable(in_quotes(text))) << a << ' ' << b;
            ASSERT_TRUE(is_printable(printable(text))) << a << ' ' << b;
        }
}

}  // namespace
}  // namespace preforkd
