#include "daemon/master/pool/exchange_policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

namespace preforkd {
namespace {

constexpr int unlimited = std::numeric_limits<int>::max();

/// A host on which processes come and go as the plan says, one event after the other.
struct Host {
    int space = unlimited;    ///< for so many workers
    int starts_fail_at = -1;  ///< the new worker with this number, from 0, cannot start
    ExchangeView view{};

    int fewest_accepting = unlimited;
    int most_processes = 0;
    int dismissed_before_ready = 0;  ///< before the first new worker was ready

    [[nodiscard]] int processes() const { return view.starting + view.ready + view.outgoing + view.leaving; }

    enum class End { Done, Failed, Stuck };
    End exchange() {
        while (view.ready < view.size) {
            const ExchangePlan plan = plan_exchange(view);
            if (plan.failed) return End::Failed;
            if (plan.dismiss > 0) {
                EXPECT_LE(plan.dismiss, view.outgoing);
                if (view.ready == 0) dismissed_before_ready += plan.dismiss;
                view.outgoing -= plan.dismiss;
                view.leaving += plan.dismiss;
            } else if (plan.fork && processes() >= space) {
                view.no_space = true;
            } else if (plan.fork) {
                ++view.starting;
                most_processes = std::max(most_processes, processes());
            } else if (view.leaving > 0) {  // something happens meanwhile: one that leaves is gone, before ...
                --view.leaving;
                view.no_space = false;
            } else if (view.starting > 0) {  // ... one that starts is ready, or dead
                --view.starting;
                if (view.ready == starts_fail_at) return End::Failed;
                ++view.ready;
            } else {
                return End::Stuck;
            }
            fewest_accepting = std::min(fewest_accepting, view.ready + view.outgoing);
        }
        return End::Done;
    }
};

TEST(ExchangePolicy, with_space_for_one_more_none_that_accepts_is_ever_missing) {
    for (const int size : {1, 2, 7, 100}) {
        Host host{.space = size + 1, .view = {.size = size, .outgoing = size}};
        EXPECT_EQ(host.exchange(), Host::End::Done) << size;
        EXPECT_EQ(host.fewest_accepting, size);
        EXPECT_EQ(host.most_processes, size + 1);
        EXPECT_EQ(host.dismissed_before_ready, 0);
    }
}

TEST(ExchangePolicy, however_much_space_there_is_one_more_is_the_most) {
    Host host{.view = {.size = 8, .outgoing = 8}};
    EXPECT_EQ(host.exchange(), Host::End::Done);
    EXPECT_EQ(host.most_processes, 9);
}

TEST(ExchangePolicy, without_space_for_one_more_one_goes_first_and_one_is_missing) {
    for (const int size : {1, 2, 7}) {
        Host host{.space = size, .view = {.size = size, .outgoing = size}};
        EXPECT_EQ(host.exchange(), Host::End::Done) << size;
        EXPECT_EQ(host.fewest_accepting, size - 1);
        EXPECT_EQ(host.most_processes, size);
    }
}

TEST(ExchangePolicy, where_not_even_the_space_of_one_that_has_gone_is_left_it_fails_with_one_missing) {
    Host host{.space = 3, .view = {.size = 4, .outgoing = 4}};
    EXPECT_EQ(host.exchange(), Host::End::Failed);
    EXPECT_EQ(host.fewest_accepting, 3);
}

TEST(ExchangePolicy, a_first_worker_that_cannot_start_has_cost_nothing) {
    Host host{.space = 5, .starts_fail_at = 0, .view = {.size = 4, .outgoing = 4}};
    EXPECT_EQ(host.exchange(), Host::End::Failed);
    EXPECT_EQ(host.view.outgoing, 4);
}

TEST(ExchangePolicy, half_way_it_goes_back_as_it_came) {
    Host there{.space = 5, .starts_fail_at = 2, .view = {.size = 4, .outgoing = 4}};
    EXPECT_EQ(there.exchange(), Host::End::Failed);
    Host back{.space = 5, .view = {.size = 4, .ready = there.view.outgoing, .outgoing = there.view.ready}};
    EXPECT_EQ(back.exchange(), Host::End::Done);
    EXPECT_EQ(back.view.ready, 4);
    EXPECT_GE(back.fewest_accepting, 4);
}

TEST(ExchangePolicy, another_size_is_reached) {
    Host larger{.view = {.size = 6, .outgoing = 2}};
    EXPECT_EQ(larger.exchange(), Host::End::Done);
    EXPECT_EQ(larger.fewest_accepting, 2);
    EXPECT_EQ(larger.most_processes, 7);
    Host smaller{.view = {.size = 2, .outgoing = 6}};
    EXPECT_EQ(smaller.exchange(), Host::End::Done);
    EXPECT_EQ(smaller.dismissed_before_ready, 0);
    EXPECT_EQ(smaller.fewest_accepting, 2);
}

TEST(ExchangePolicy, who_leaves_is_waited_for) {
    EXPECT_EQ(plan_exchange({.size = 4, .ready = 2, .outgoing = 2, .leaving = 1}), ExchangePlan{});
    EXPECT_EQ(plan_exchange({.size = 4, .outgoing = 4, .leaving = 1, .no_space = true}), ExchangePlan{});
    EXPECT_TRUE(plan_exchange({.size = 4, .ready = 1, .outgoing = 1, .leaving = 1}).fork) << "two have died";
}

}  // namespace
}  // namespace preforkd
