#include "daemon/ctl/answer.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

TEST(Expectation, a_text_inside_one_piece_is_found) {
    Expectation expectation{"needle"};
    EXPECT_FALSE(expectation.is_met());
    expectation.see("hay needle hay");
    EXPECT_TRUE(expectation.is_met());
}

TEST(Expectation, a_text_that_comes_byte_by_byte_is_found) {
    Expectation expectation{"needle"};
    for (const char c : std::string_view{"hay neneedle"}) {
        EXPECT_FALSE(expectation.is_met());
        expectation.see({&c, 1});
    }
    EXPECT_TRUE(expectation.is_met());
}

TEST(Expectation, once_met_it_stays_met) {
    Expectation expectation{"a"};
    expectation.see("a");
    expectation.see("bbb");
    EXPECT_TRUE(expectation.is_met());
}

TEST(Expectation, pieces_that_do_not_follow_each_other_are_no_match) {
    Expectation expectation{"needle"};
    expectation.see("need");
    expectation.see("-");
    expectation.see("le");
    EXPECT_FALSE(expectation.is_met());
}

}  // namespace
}  // namespace preforkd
