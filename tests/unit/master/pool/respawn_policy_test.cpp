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

/// Replacements in ten seconds of workers that die at once and claim to have served.
int replaced_in_ten_seconds(int workers) {
    const Clock::time_point begin{1h};
    Respawn respawn;
    int deaths = 0;
    for (Clock::time_point now = begin; now < begin + 10s; now = std::max(now, respawn.not_before)) {
        respawn = after_death(respawn, {.served = 1, .pool_served = 1, .pool_size = workers, .at = now});
        ++deaths;
    }
    return deaths;
}

TEST(RespawnPolicy, whatever_they_claim_no_more_die_than_50_a_second_or_each_worker_once_a_second) {
    EXPECT_NEAR(replaced_in_ten_seconds(1), 50 + 500, 2);
    EXPECT_NEAR(replaced_in_ten_seconds(200), 200 + 2000, 2);
}

TEST(RespawnPolicy, a_pool_that_is_killed_at_once_is_replaced_at_once) {
    const Clock::time_point now{1h};
    for (const int workers : {1, 50, 300}) {
        Respawn respawn;
        for (int death = 0; death < workers; ++death)
            respawn = after_death(respawn, {.served = 1, .pool_served = 1, .pool_size = workers, .at = now});
        EXPECT_EQ(respawn.not_before, now) << workers;
        EXPECT_FALSE(respawn.too_many) << workers;
    }
}

TEST(RespawnPolicy, one_crash_in_twenty_milliseconds_is_never_waited_for) {
    Clock::time_point now{1h};
    Respawn respawn;
    for (int death = 0; death < 10'000; ++death, now += 20ms) {
        respawn = after_death(respawn, {.served = 1, .pool_served = 1, .pool_size = 2, .at = now});
        ASSERT_EQ(respawn.not_before, now) << death;
    }
}

TEST(RespawnPolicy, after_a_second_without_a_death_it_is_as_if_there_had_been_none) {
    Clock::time_point now{1h};
    Respawn respawn;
    for (int death = 0; death < 1000; ++death)
        respawn = after_death(respawn, {.served = 1, .pool_served = 1, .at = now});
    EXPECT_TRUE(respawn.too_many);
    now = respawn.not_before + 1s;
    for (int death = 0; death < 50; ++death) respawn = after_death(respawn, {.served = 1, .pool_served = 1, .at = now});
    EXPECT_EQ(respawn.not_before, now);
}

/// Replacements in ten seconds of workers that say at once that they retire.
int retired_in_ten_seconds(int workers, std::uint64_t max_requests) {
    const Clock::time_point begin{1h};
    Respawn respawn;
    int retired = 0;
    for (Clock::time_point now = begin; now < begin + 10s; now = std::max(now, respawn.not_before)) {
        respawn = after_retirement(respawn, {.pool_size = workers, .max_requests = max_requests, .at = now});
        ++retired;
    }
    return retired;
}

TEST(RespawnPolicy, no_more_retire_than_die_where_no_option_asks_them_to) {
    EXPECT_NEAR(retired_in_ten_seconds(1, 0), 50 + 500, 2);
    EXPECT_NEAR(retired_in_ten_seconds(200, 0), 200 + 2000, 2);
    EXPECT_NEAR(retired_in_ten_seconds(2, 1'000'000), 50 + 500, 2);
}

TEST(RespawnPolicy, a_pool_at_its_fastest_retires_undelayed) {
    for (const std::uint64_t max_requests : {1, 10, 1000, 100'000}) {
        constexpr int workers = 4;
        const auto between =
            std::chrono::nanoseconds{1s} / 200'000 * max_requests / workers;  // 200 000 requests a second
        Clock::time_point now{1h};
        Respawn respawn;
        for (int retirement = 0; retirement < 10'000; ++retirement, now += between) {
            respawn = after_retirement(respawn, {.pool_size = workers, .max_requests = max_requests, .at = now});
            ASSERT_LE(respawn.not_before, now) << max_requests << ": " << retirement;
        }
    }
}

TEST(RespawnPolicy, who_retires_and_dies_has_one_limit_for_both) {
    const Clock::time_point now{1h};
    Respawn respawn;
    for (int each = 0; each < 25; ++each) {
        respawn = after_retirement(respawn, {.pool_size = 2, .at = now});
        respawn = after_death(respawn, {.served = 1, .pool_served = 1, .pool_size = 2, .at = now});
    }
    EXPECT_FALSE(respawn.too_many);
    respawn = after_retirement(respawn, {.pool_size = 2, .at = now});
    EXPECT_TRUE(respawn.too_many);
    EXPECT_EQ(respawn.not_before, now + 20ms);
}

TEST(RespawnPolicy, a_retirement_makes_up_for_no_early_death) {
    const Clock::time_point now{1h};
    Respawn respawn;
    for (int death = 0; death < 3; ++death) respawn = after_death(respawn, {.pool_size = 2, .at = now});
    const Respawn after = after_retirement(respawn, {.pool_size = 2, .at = now});
    EXPECT_EQ(after.early_deaths, 3);
    EXPECT_EQ(after.not_before, respawn.not_before);
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
