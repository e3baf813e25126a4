#include "daemon/worker/forward/target_policy.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using Order = std::vector<std::size_t>;

const Clock::time_point now{1h};

TEST(TargetPolicy, targets_take_turns) {
    const std::vector<Deadline> well(3);
    EXPECT_EQ(order_of_targets(0, well, now), (Order{0, 1, 2}));
    EXPECT_EQ(order_of_targets(1, well, now), (Order{1, 2, 0}));
    EXPECT_EQ(order_of_targets(5, well, now), (Order{2, 0, 1}));
}

TEST(TargetPolicy, those_that_rest_come_last) {
    const std::vector<Deadline> one_rests{now + 1s, std::nullopt, std::nullopt};
    EXPECT_EQ(order_of_targets(0, one_rests, now), (Order{1, 2, 0}));
    EXPECT_EQ(order_of_targets(2, one_rests, now), (Order{2, 1, 0}));
}

TEST(TargetPolicy, a_rest_that_is_over_is_none) {
    const std::vector<Deadline> rested{now, std::nullopt};
    EXPECT_EQ(order_of_targets(0, rested, now), (Order{0, 1}));
}

TEST(TargetPolicy, where_all_rest_all_are_tried) {
    const std::vector<Deadline> all{now + 1s, now + 2s};
    EXPECT_EQ(order_of_targets(1, all, now), (Order{1, 0}));
}

}  // namespace
}  // namespace preforkd
