#include "common/log/whole_lines.hpp"

#include <gtest/gtest.h>

#include <string>

namespace preforkd {
namespace {

std::string take(WholeLines& lines, std::string_view bytes) {
    const std::span<char> space = lines.space();
    EXPECT_LE(bytes.size(), space.size());
    bytes.copy(space.data(), bytes.size());
    return std::string{lines.take(bytes.size())};
}

TEST(WholeLines, lines_come_as_soon_as_they_have_an_end) {
    WholeLines lines{64};
    EXPECT_EQ(take(lines, "one\ntw"), "one\n");
    EXPECT_EQ(take(lines, "o"), "");
    EXPECT_EQ(take(lines, "\nthree\n"), "two\nthree\n");
    EXPECT_EQ(lines.end(), "");
}

TEST(WholeLines, a_newline_before_a_line_ends_what_was_left_unfinished_and_is_no_line_else) {
    WholeLines lines{64};
    EXPECT_EQ(take(lines, "\none\n\ntwo\n"), "one\ntwo\n");
    EXPECT_EQ(take(lines, "torn"), "");
    EXPECT_EQ(take(lines, "\nthree\n\n\n"), "torn\nthree\n");
}

TEST(WholeLines, what_has_no_end_gets_one_at_the_end) {
    WholeLines lines{64};
    EXPECT_EQ(take(lines, "one\ntorn"), "one\n");
    EXPECT_EQ(lines.end(), "torn\n");
}

TEST(WholeLines, a_line_that_never_ends_comes_in_pieces) {
    WholeLines lines{WholeLines::limit_bytes + 8};
    const std::string most(WholeLines::limit_bytes - 1, 'x');
    EXPECT_EQ(take(lines, most), "");
    EXPECT_EQ(take(lines, "yz"), most + "yz\n");
    EXPECT_EQ(take(lines, "\nnext\n"), "next\n");
    EXPECT_EQ(take(lines, "a\n" + most), "a\n");
    EXPECT_EQ(take(lines, most), most + most + "\n");
    EXPECT_EQ(lines.end(), "");
}

}  // namespace
}  // namespace preforkd
