#include "daemon/ctl/figures.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

TEST(Figures, ages_have_their_two_largest_units) {
    EXPECT_EQ(age_text(999ms), "0s");
    EXPECT_EQ(age_text(59s), "59s");
    EXPECT_EQ(age_text(61s), "1m 1s");
    EXPECT_EQ(age_text(2h + 3min + 4s), "2h 3m");
    EXPECT_EQ(age_text(49h), "2d 1h");
}

TEST(Figures, rates_are_as_exact_as_they_are_read) {
    EXPECT_EQ(rate_text(0), "0");
    EXPECT_EQ(rate_text(0.04), "0");
    EXPECT_EQ(rate_text(0.25), "0.2");
    EXPECT_EQ(rate_text(99.94), "99.9");
    EXPECT_EQ(rate_text(99.96), "100");
    EXPECT_EQ(rate_text(9999), "9999");
    EXPECT_EQ(rate_text(12'345), "12.3k");
}

TEST(Figures, bounds_have_their_unit_and_what_is_beyond_all_says_so) {
    EXPECT_EQ(bound_text(100us), "100 us");
    EXPECT_EQ(bound_text(2500us), "2.5 ms");
    EXPECT_EQ(bound_text(60s), "60 s");
    EXPECT_EQ(bound_text(std::chrono::nanoseconds::max()), "more than 60 s");
    HistogramCounts histogram;
    EXPECT_EQ(bound_cell(histogram, 0.5), "-");
    for (int i = 0; i < 9; ++i) histogram.add(2ms);
    histogram.add(2min);
    EXPECT_EQ(bound_cell(histogram, 0.5), "<2.5ms");
    EXPECT_EQ(bound_cell(histogram, 0.99), ">60s");
}

}  // namespace
}  // namespace preforkd
