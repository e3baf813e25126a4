#include "daemon/master/health_policy.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

constexpr auto timeout = 60s;

TEST(HealthPolicy, a_handler_that_runs_longer_than_the_timeout_hangs) {
    EXPECT_FALSE(is_hung({.state = WorkerState::InHandler, .since = 60s}, timeout));
    EXPECT_TRUE(is_hung({.state = WorkerState::InHandler, .since = 60'001ms}, timeout));
}

TEST(HealthPolicy, a_worker_outside_its_handler_never_hangs) {
    for (const auto state : {WorkerState::Vacant, WorkerState::Starting, WorkerState::Idle,
                             WorkerState::WaitingForClient, WorkerState::Draining}) {
        EXPECT_FALSE(is_hung({.state = state, .since = 24h}, timeout)) << static_cast<int>(state);
        EXPECT_FALSE(is_suspect({.state = state, .since = 24h}, timeout)) << static_cast<int>(state);
    }
}

TEST(HealthPolicy, a_worker_is_asked_for_a_sign_of_life_well_before_it_counts_as_hung) {
    EXPECT_FALSE(is_suspect({.state = WorkerState::InHandler, .since = 30s}, timeout));
    EXPECT_TRUE(is_suspect({.state = WorkerState::InHandler, .since = 30'001ms}, timeout));
}

TEST(HealthPolicy, without_a_timeout_nobody_hangs) {
    EXPECT_FALSE(is_hung({.state = WorkerState::InHandler, .since = 24h}, 0s));
    EXPECT_FALSE(is_suspect({.state = WorkerState::InHandler, .since = 24h}, 0s));
}

TEST(HealthPolicy, more_workers_must_go_on_than_hang) {
    for (int workers = 1; workers <= 9; ++workers)
        for (int hung = 0; hung <= workers; ++hung)
            EXPECT_EQ(has_quorum(workers, hung), workers - hung > hung) << hung << " of " << workers;
}

TEST(HealthPolicy, a_pool_that_is_being_respawned_is_not_stuck) { EXPECT_TRUE(has_quorum(0, 0)); }

}  // namespace
}  // namespace preforkd
