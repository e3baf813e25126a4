#include "daemon/master/pool/leaving_policy.hpp"

#include <gtest/gtest.h>

#include <array>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

TEST(ReloadTime, programs_have_for_ever_and_handlers_what_they_have_at_a_stop_unless_somebody_says) {
    EXPECT_EQ(reload_time(true, std::nullopt), 0ms);
    EXPECT_EQ(reload_time(false, std::nullopt), std::nullopt);
    for (const bool programs : {true, false})
        for (const auto asked : {0ms, 1ms, 3'600'000ms}) EXPECT_EQ(reload_time(programs, asked), asked);
}

TEST(LeavingPolicy, four_times_a_pool_may_be_leaving_as_long_as_there_are_records_for_them_beside_it) {
    for (const int size : {1, 8, 512}) EXPECT_EQ(most_leaving(size), 4 * size);
    for (const int size : {1, 614, 615, most_workers})
        EXPECT_LE(static_cast<std::size_t>(most_leaving(size) + size), most_records)
            << "the next generation is there, too";
    EXPECT_GE(most_leaving(most_workers), most_workers) << "a reload is possible";
}

TEST(LeavingPolicy, one_that_was_told_a_moment_ago_or_is_being_ended_is_gone_soon) {
    using Left = std::optional<std::chrono::milliseconds>;
    for (const Left left : {Left{}, Left{1h}}) EXPECT_EQ(judge({.told_for = 999ms, .left = left}, 30s), Leaving::Soon);
    EXPECT_EQ(judge({.told_for = 1h, .left = 3s}, 30s), Leaving::Soon) << "after a TERM";
    EXPECT_EQ(judge({.told_for = 1h, .killed = true}, 30s), Leaving::Soon);
}

TEST(LeavingPolicy, one_that_has_no_more_time_than_at_a_stop_is_gone_in_time) {
    EXPECT_EQ(judge({.told_for = 1s, .left = 34s}, 30s), Leaving::InTime);
    EXPECT_EQ(judge({.told_for = 1s, .left = 34'001ms}, 30s), Leaving::NotSoon);
    EXPECT_EQ(judge({.told_for = 1s}, 30s), Leaving::NotSoon);
    EXPECT_EQ(judge({.told_for = 1s, .left = 34s}, 0s), Leaving::NotSoon) << "a stop has all the time itself";
}

TEST(LeavingPolicy, slots_are_taken_by_those_of_whom_nobody_knows_how_long_they_stay) {
    constexpr int size = 2;
    EXPECT_EQ(judge({.size = size, .staying = 2, .soon = 2, .in_time = 2, .not_soon = 2}), Slots::Free);
    EXPECT_EQ(judge({.size = size, .staying = 2, .soon = 3, .in_time = 2, .not_soon = 2}), Slots::SoonFree);
    EXPECT_EQ(judge({.size = size, .staying = 2, .in_time = 3, .not_soon = 4}), Slots::FreeInTime);
    EXPECT_EQ(judge({.size = size, .staying = 2, .not_soon = 6}), Slots::Free);
    EXPECT_EQ(judge({.size = size, .staying = 2, .not_soon = 7}), Slots::Taken);
}

TEST(LeavingPolicy, as_many_of_the_oldest_generations_end_as_it_takes) {
    constexpr std::array workers{1, 2, 3};
    const auto ended = [&](int not_soon, int soon = 0) {
        return generations_to_end(workers, {.size = 1, .staying = 1, .soon = soon, .not_soon = not_soon});
    };
    EXPECT_EQ(ended(3, 9), 0U) << "who is gone soon is waited for";
    EXPECT_EQ(ended(4), 1U);
    EXPECT_EQ(ended(6), 2U);
    EXPECT_EQ(ended(7), 3U);
    EXPECT_EQ(ended(50), 3U) << "there are no others";
}

}  // namespace
}  // namespace preforkd
