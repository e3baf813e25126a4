#include "daemon/worker/program/waiting_policy.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

TEST(WaitingPolicy, a_program_that_leaves_its_work_at_once_is_started_less_and_less_often) {
    std::chrono::milliseconds pause{};
    for (const auto expected :
         {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 6400ms, 12'800ms, 25'600ms, 30'000ms, 30'000ms})
        EXPECT_EQ(pause = pause_after(pause, WaitingRun::Vain), expected);
    EXPECT_EQ(pause_after(pause, WaitingRun::Useful), 0ms);
    EXPECT_EQ(pause_after(0ms, WaitingRun::Unclear), 20ms);
    EXPECT_EQ(pause_after(20ms, WaitingRun::Vain), 100ms);
    EXPECT_EQ(pause_after(20ms, WaitingRun::Unclear, unclear_runs_allowed - 1), 20ms);
    EXPECT_EQ(pause_after(20ms, WaitingRun::Unclear, unclear_runs_allowed), 1s);
}

TEST(WaitingPolicy, a_run_is_vain_where_it_was_short_and_what_it_was_for_is_still_there) {
    EXPECT_EQ(judge({.age = 3ms, .ended_well = true, .somebody_waits = true, .is_known = true}), WaitingRun::Vain);
    EXPECT_EQ(judge({.age = 3ms, .ended_well = false, .somebody_waits = true}), WaitingRun::Vain);
    EXPECT_EQ(judge({.age = 3ms, .ended_well = true, .somebody_waits = true}), WaitingRun::Unclear);
    EXPECT_EQ(judge({.age = 3ms, .ended_well = false, .somebody_waits = false}), WaitingRun::Useful);
    EXPECT_EQ(judge({.age = 1s, .ended_well = false, .somebody_waits = true, .is_known = true}), WaitingRun::Useful);
}

}  // namespace
}  // namespace preforkd
