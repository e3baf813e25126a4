#include "common/base/utf8.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

std::size_t size_of(std::string_view text) { return decode_utf8(text).size_bytes; }

TEST(Utf8, a_character_has_one_to_four_bytes) {
    for (const auto& [text, code_point, size_bytes] : {std::tuple{"A", U'A', 1U},
                                                       {"\xc2\x80", U'\x80', 2U},
                                                       {"\xef\xbf\xbf", U'\uffff', 3U},
                                                       {"\xf4\x8f\xbf\xbf", U'\U0010ffff', 4U}}) {
        const Utf8Character character = decode_utf8(std::string_view{text}.substr(0, size_bytes));
        EXPECT_EQ(character.code_point, code_point);
        EXPECT_EQ(character.size_bytes, size_bytes);
    }
}

TEST(Utf8, what_is_none_has_no_size) {
    for (const char* const none : {"\x80", "\xff", "\xc3",
                                   "\xc3"
                                   "a",
                                   "\xe4\xbd", "\xf8\x88\x80\x80"})
        EXPECT_EQ(size_of(none), 0U) << none;
    for (const char* const overlong : {"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf"})
        EXPECT_EQ(size_of(overlong), 0U);
    EXPECT_EQ(size_of("\xed\xa0\x80"), 0U) << "a surrogate";
    EXPECT_EQ(size_of("\xf4\x90\x80\x80"), 0U) << "above U+10FFFF";
}

static_assert(obeyed_by_terminals(U'\n') && obeyed_by_terminals(U'\x9b') && obeyed_by_terminals(U'\u2028'));
static_assert(obeyed_by_terminals(U'\u200e') && obeyed_by_terminals(U'\u200f') && obeyed_by_terminals(U'\u202e'));
static_assert(obeyed_by_terminals(U'\u2069') && obeyed_by_terminals(U'\ufeff'));
static_assert(!obeyed_by_terminals(U' ') && !obeyed_by_terminals(U'\xa0') && !obeyed_by_terminals(U'\u200d'));

}  // namespace
}  // namespace preforkd
