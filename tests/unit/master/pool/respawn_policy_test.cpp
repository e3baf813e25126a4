#include "daemon/master/pool/respawn_policy.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

TEST(RespawnPolicy, a_worker_that_served_or_lived_10_s_was_of_use) {
    EXPECT_TRUE(died_early(0ms, 0));
    EXPECT_TRUE(died_early(9'999ms, 0));
    EXPECT_FALSE(died_early(10s, 0));
    EXPECT_FALSE(died_early(0ms, 1));
}

TEST(RespawnPolicy, a_useful_worker_and_the_first_early_death_are_replaced_at_once) {
    EXPECT_EQ(respawn_delay(0), 0ms);
    EXPECT_EQ(respawn_delay(1), 0ms);
}

TEST(RespawnPolicy, further_early_deaths_wait_100_ms_doubling_to_30_s) {
    auto expected = 100ms;
    for (int deaths = 2; deaths <= 10; ++deaths, expected *= 2) EXPECT_EQ(respawn_delay(deaths), expected) << deaths;
    EXPECT_EQ(respawn_delay(10), 25'600ms);
    EXPECT_EQ(respawn_delay(11), 30s);
}

TEST(RespawnPolicy, however_many_died_the_delay_stays_30_s) {
    for (const int deaths : {12, 17, 18, 19, 33, 34, 66, 1'000'000, std::numeric_limits<int>::max()})
        EXPECT_EQ(respawn_delay(deaths), 30s) << deaths;
}

TEST(RespawnPolicy, a_small_pool_is_given_up_after_five_deaths) {
    for (const int workers : {1, 2, 5}) {
        EXPECT_FALSE(is_hopeless(4, workers)) << workers;
        EXPECT_TRUE(is_hopeless(5, workers)) << workers;
    }
}

TEST(RespawnPolicy, in_a_large_pool_every_worker_gets_a_try) {
    EXPECT_FALSE(is_hopeless(63, 64));
    EXPECT_TRUE(is_hopeless(64, 64));
}

TEST(RespawnPolicy, a_small_pool_is_given_up_within_a_second) {
    std::chrono::milliseconds waited{};
    for (int deaths = 1; !is_hopeless(deaths, 1); ++deaths) waited += respawn_delay(deaths);
    EXPECT_LE(waited, 1s);
}

}  // namespace
}  // namespace preforkd
