#include "daemon/master/pool/size_policy.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

constexpr SizeLimits up_to_32{.fewest = 1, .most = 32, .least_spare = 1, .most_spare = 1};

TEST(SizePolicy, a_pool_with_a_spare_worker_stays_as_it_is) {
    EXPECT_EQ(plan_size({.spare = 1, .full = 3}, {.fewest = 4, .most = 8}), (SizePlan{}));
    EXPECT_EQ(plan_size({.spare = 1, .clients_wait = true}, up_to_32), (SizePlan{})) << "it will look";
}

TEST(SizePolicy, the_last_spare_worker_is_replaced_before_a_client_waits) {
    EXPECT_EQ(plan_size({.full = 1}, up_to_32).grow, 1);
    EXPECT_EQ(plan_size({.full = 1, .burst = 8}, up_to_32).grow, 1) << "no more than are missing";
    const SizeLimits eager{.fewest = 1, .most = 32, .least_spare = 5, .most_spare = 10};
    EXPECT_EQ(plan_size({.spare = 2, .full = 1, .burst = 8}, eager).grow, 3);
    EXPECT_EQ(plan_size({.spare = 2, .full = 1, .burst = 1}, eager).grow, 1);
}

TEST(SizePolicy, the_burst_doubles_while_clients_wait_and_ends_at_32) {
    const SizeLimits large{.fewest = 1, .most = 1000, .least_spare = 1, .most_spare = 1};
    SizeView pool{.full = 1, .clients_wait = true};
    for (const int burst : {1, 2, 4, 8, 16, 32, 32, 32}) {
        const SizePlan plan = plan_size(pool, large);
        EXPECT_EQ(plan.grow, burst);
        pool.full += plan.grow;
        pool.burst = plan.next_burst;
    }
}

TEST(SizePolicy, the_burst_falls_back_after_a_quiet_second) {
    EXPECT_EQ(plan_size({.spare = 1, .burst = 16, .since_growth = 999ms}, up_to_32).next_burst, 16);
    EXPECT_EQ(plan_size({.spare = 1, .burst = 16, .since_growth = 1s}, up_to_32).next_burst, 1);
}

TEST(SizePolicy, a_slow_start_is_not_answered_by_a_second_fork) {
    EXPECT_EQ(plan_size({.starting = 1, .full = 3, .clients_wait = true, .burst = 8}, up_to_32).grow, 0);
}

TEST(SizePolicy, a_pool_never_grows_beyond_its_limit_and_says_when_clients_wait_there) {
    EXPECT_EQ(plan_size({.full = 30, .clients_wait = true, .burst = 8}, up_to_32).grow, 2);
    const SizePlan at_the_limit = plan_size({.full = 32, .clients_wait = true, .burst = 8}, up_to_32);
    EXPECT_EQ(at_the_limit.grow, 0);
    EXPECT_EQ(plan_size({.full = 40, .clients_wait = true}, up_to_32).grow, 0) << "nor does a smaller limit shrink it";
}

TEST(SizePolicy, a_surplus_shrinks_one_by_one_and_only_after_a_minute) {
    EXPECT_EQ(plan_size({.spare = 5, .full = 2}, up_to_32), (SizePlan{.surplus = true}));
    EXPECT_EQ(plan_size({.spare = 5, .full = 2, .surplus_for = 59'999ms}, up_to_32).shrink, 0);
    EXPECT_EQ(plan_size({.spare = 5, .full = 2, .surplus_for = 1min}, up_to_32).shrink, 1);
}

TEST(SizePolicy, a_pool_never_shrinks_below_its_least) {
    const SizeLimits limits{.fewest = 4, .most = 8, .least_spare = 1, .most_spare = 1};
    EXPECT_EQ(plan_size({.spare = 4, .surplus_for = 1h}, limits), (SizePlan{.next_burst = 1}));
    EXPECT_EQ(plan_size({.spare = 5, .surplus_for = 1h}, limits).shrink, 1);
    EXPECT_FALSE(plan_size({.starting = 1, .spare = 4, .surplus_for = 1h}, limits).surplus)
        << "who starts is no surplus";
}

TEST(SizePolicy, whatever_it_sees_the_pool_stays_in_its_range) {
    const SizeLimits limits{.fewest = 2, .most = 6, .least_spare = 1, .most_spare = 2};
    for (int starting = 0; starting <= 6; ++starting)
        for (int spare = 0; starting + spare <= 6; ++spare)
            for (int full = 0; starting + spare + full <= 6; ++full)
                for (const bool wait : {false, true}) {
                    const int size = starting + spare + full;
                    if (size < limits.fewest) continue;
                    const SizePlan plan = plan_size({.starting = starting,
                                                     .spare = spare,
                                                     .full = full,
                                                     .clients_wait = wait,
                                                     .burst = 4,
                                                     .surplus_for = 1h},
                                                    limits);
                    EXPECT_LE(size + plan.grow, limits.most);
                    EXPECT_GE(size - plan.shrink, limits.fewest);
                    EXPECT_TRUE(plan.grow == 0 || plan.shrink == 0);
                }
}

}  // namespace
}  // namespace preforkd
