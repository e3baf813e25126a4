#include "common/config/command_words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace preforkd {
namespace {

using testing::ElementsAre;

TEST(CommandWords, blanks_separate_them) {
    EXPECT_THAT(split_command("/usr/bin/git daemon\t--inetd  "), ElementsAre("/usr/bin/git", "daemon", "--inetd"));
    EXPECT_THAT(split_command("  cat"), ElementsAre("cat"));
}

TEST(CommandWords, quotes_keep_blanks_and_stand_anywhere) {
    EXPECT_THAT(split_command(R"(sh -c "echo a b" 'c "d"' --x="e f"g '')"),
                ElementsAre("sh", "-c", "echo a b", "c \"d\"", "--x=e fg", ""));
}

TEST(CommandWords, a_backslash_is_read_as_in_c) {
    EXPECT_THAT(split_command(R"(printf a\sb\x41\101\n "\"\\" \')"), ElementsAre("printf", "a bAA\n", "\"\\", "'"));
}

TEST(CommandWords, nothing_else_has_a_meaning) {
    EXPECT_THAT(split_command("@a $HOME %i ~ * ; # | >f"),
                ElementsAre("@a", "$HOME", "%i", "~", "*", ";", "#", "|", ">f"));
}

TEST(CommandWords, what_is_no_command_is_refused) {
    for (const char* text :
         {"", "  ", "'' a", "a \"b", "a 'b", "a \\q", "a \\", "a \\x4", "a \\x00", "a \\000", "a \\400"})
        EXPECT_THROW((void)split_command(text), std::invalid_argument) << text;
}

TEST(CommandWords, what_is_printed_is_read_back) {
    const std::vector<std::vector<std::string>> commands{
        {"cat"}, {"/bin/sh", "-c", "echo \"a\n\tb\" \\ '$x'"}, {"x", "", " ", "gr\xc3\xbc\xc3\x9f", "\r\v\f"}, {"a b"}};
    for (const auto& words : commands) {
        EXPECT_EQ(split_command(join_command(words)), words);
        EXPECT_EQ(split_command(percent_decoded(percent_encoded(join_command(words)))), words);
    }
    EXPECT_EQ(join_command({"sh", "-c", "echo x"}), "sh -c \"echo x\"");
    EXPECT_EQ(percent_encoded("a b%c"), "a%20b%25c");
}

}  // namespace
}  // namespace preforkd
