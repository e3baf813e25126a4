#include "daemon/master/pool/copies_policy.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

constexpr SizeLimits one_to_eight{.fewest = 1, .most = 8};

TEST(CopiesPolicy, they_are_left_alone_while_nobody_waits_and_they_do_something) {
    EXPECT_EQ(plan_copies({.size = 3, .ready = 3, .used_cpu = 1500}, one_to_eight), (SizePlan{}));
}

TEST(CopiesPolicy, a_client_who_waits_for_a_moment_changes_nothing) {
    EXPECT_EQ(plan_copies({.clients_wait = true, .waiting_for = 999ms}, one_to_eight), (SizePlan{}));
    EXPECT_EQ(plan_copies({.clients_wait = true, .waiting_for = 1s}, one_to_eight).grow, 1);
}

TEST(CopiesPolicy, the_burst_doubles_while_clients_wait_and_falls_back_when_nobody_does) {
    CopiesView copies{.clients_wait = true, .waiting_for = 1s};
    const SizeLimits many{.fewest = 1, .most = 1000};
    for (const int burst : {1, 2, 4, 8, 16, 32, 32}) {
        const SizePlan plan = plan_copies(copies, many);
        EXPECT_EQ(plan.grow, burst);
        copies.burst = plan.next_burst;
        copies.size = copies.ready = copies.size + plan.grow;
    }
    copies.waiting_for = 0s;
    EXPECT_EQ(plan_copies(copies, many).next_burst, 32);
    copies.clients_wait = false;
    EXPECT_EQ(plan_copies(copies, many).next_burst, 1);
}

TEST(CopiesPolicy, nothing_is_decided_before_those_that_start_are_ready) {
    const CopiesView starting{
        .size = 2, .ready = 1, .clients_wait = true, .burst = 2, .waiting_for = 9s, .computing_for = 9s};
    EXPECT_EQ(plan_copies(starting, one_to_eight), (SizePlan{.next_burst = 2}));
}

TEST(CopiesPolicy, copies_that_compute_get_another_where_there_is_a_cpu_for_it) {
    EXPECT_TRUE(compute({.size = 2, .ready = 2, .cpus = 4, .used_cpu = 1600}));
    EXPECT_FALSE(compute({.size = 2, .ready = 2, .cpus = 4, .used_cpu = 1599}));
    EXPECT_FALSE(compute({.size = 4, .ready = 4, .cpus = 4, .used_cpu = 4000}));
    EXPECT_EQ(plan_copies({.used_cpu = 1000, .burst = 8, .computing_for = 2999ms}, one_to_eight).grow, 0);
    EXPECT_EQ(plan_copies({.used_cpu = 1000, .burst = 8, .computing_for = 3s}, one_to_eight).grow, 1);
}

TEST(CopiesPolicy, the_range_holds) {
    const CopiesView full{.size = 7, .ready = 7, .clients_wait = true, .burst = 8, .waiting_for = 1s};
    EXPECT_EQ(plan_copies(full, one_to_eight).grow, 1);
    EXPECT_EQ(plan_copies({.size = 8, .ready = 8, .computing_for = 1h}, one_to_eight).grow, 0);
    EXPECT_EQ(plan_copies({.size = 2, .ready = 2, .surplus_for = 1h}, {.fewest = 2, .most = 8}).shrink, 0);
}

TEST(CopiesPolicy, one_is_dismissed_after_a_minute_in_which_the_others_would_have_rested) {
    const CopiesView resting{.size = 3, .ready = 3, .used_cpu = 1000, .surplus_for = 1min};
    EXPECT_EQ(plan_copies(resting, one_to_eight), (SizePlan{.shrink = 1, .next_burst = 1, .surplus = true}));
    const auto shrinks = [&](auto change) {
        CopiesView other = resting;
        change(other);
        return plan_copies(other, one_to_eight).shrink;
    };
    EXPECT_EQ(shrinks([](CopiesView& copies) { copies.used_cpu = 1001; }), 0);
    EXPECT_EQ(shrinks([](CopiesView& copies) { copies.clients_wait = true; }), 0);
    EXPECT_EQ(shrinks([](CopiesView& copies) { copies.surplus_for = 59'999ms; }), 0);
    EXPECT_EQ(shrinks([](CopiesView& copies) { copies.may_leave = false; }), 0);
}

}  // namespace
}  // namespace preforkd
