#include "common/base/parse_number.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace preforkd {
namespace {

TEST(ParseNumber, all_of_the_text_is_the_number) {
    EXPECT_EQ(parse_number<int>("0"), 0);
    EXPECT_EQ(parse_number<int>("007"), 7);
    for (const char* none : {"", " ", "x", "1 ", " 1", "1x", "1\n", "0x1", "1.5"})
        EXPECT_EQ(parse_number<int>(none), std::nullopt) << '"' << none << '"';
    EXPECT_EQ(parse_number<int>(std::string_view{}), std::nullopt);
    EXPECT_EQ(parse_number<int>(std::string_view{"1\0", 2}), std::nullopt);
}

TEST(ParseNumber, a_minus_is_for_signed_numbers_and_a_plus_for_none) {
    EXPECT_EQ(parse_number<int>("-12"), -12);
    EXPECT_EQ(parse_number<unsigned>("-12"), std::nullopt);
    EXPECT_EQ(parse_number<unsigned>("-0"), std::nullopt);
    EXPECT_EQ(parse_number<int>("+12"), std::nullopt);
    EXPECT_EQ(parse_number<int>("-"), std::nullopt);
}

TEST(ParseNumber, what_the_type_cannot_hold_is_none) {
    EXPECT_EQ(parse_number<std::uint64_t>("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(parse_number<std::uint64_t>("18446744073709551616"), std::nullopt);
    EXPECT_EQ(parse_number<std::int8_t>("-128"), std::int8_t{-128});
    EXPECT_EQ(parse_number<std::int8_t>("-129"), std::nullopt);
}

TEST(ParseNumber, the_base_is_the_callers) {
    EXPECT_EQ(parse_number<unsigned>("0640", 8), 0640U);
    EXPECT_EQ(parse_number<unsigned>("8", 8), std::nullopt);
    EXPECT_EQ(parse_number<std::uint64_t>("fF", 16), 255U);
}

TEST(ParseNumber, taking_leaves_what_follows) {
    std::string_view text = "12ms";
    EXPECT_EQ(take_number<int>(text), 12);
    EXPECT_EQ(text, "ms");
    EXPECT_EQ(take_number<int>(text), std::nullopt);
    EXPECT_EQ(text, "ms");
    text = "300 x";
    EXPECT_EQ(take_number<std::int8_t>(text), std::nullopt);
    EXPECT_EQ(text, "300 x");
}

}  // namespace
}  // namespace preforkd
