#include "common/base/clock.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

constexpr Clock::time_point now{1'000s};

TEST(Clock, the_clock_never_steps_back) { EXPECT_TRUE(Clock::is_steady); }

TEST(Clock, no_patience_means_a_deadline_that_never_comes) {
    EXPECT_EQ(deadline_after(now, 0ms), std::nullopt);
    EXPECT_EQ(deadline_after(now, 1ms), now + 1ms);
}

TEST(Clock, any_deadline_is_earlier_than_none) {
    const Deadline some = now;
    EXPECT_EQ(earlier(some, std::nullopt), some);
    EXPECT_EQ(earlier(std::nullopt, some), some);
    EXPECT_EQ(earlier(std::nullopt, std::nullopt), std::nullopt);
}

TEST(Clock, the_earlier_of_two_deadlines_wins_whatever_their_order) {
    EXPECT_EQ(earlier(now, now + 1ms), now);
    EXPECT_EQ(earlier(now + 1ms, now), now);
}

TEST(Clock, a_deadline_has_passed_from_its_own_instant_on) {
    EXPECT_FALSE(has_passed(now, now - 1ns));
    EXPECT_TRUE(has_passed(now, now));
    EXPECT_TRUE(has_passed(now, now + 1ns));
    EXPECT_FALSE(has_passed(std::nullopt, Clock::time_point::max()));
}

}  // namespace
}  // namespace preforkd
