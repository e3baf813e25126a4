#include "daemon/master/pool/health_policy.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

constexpr auto timeout = 60s;
constexpr WorkerLook in_handler{.state = WorkerState::InHandler, .since_ns = 7, .age = 1h};
constexpr WorkerLook stopped{.state = WorkerState::Idle, .since_ns = 7, .stopped = true};

/// What several looks come to, each `awake` after the one before.
HealthHistory after(std::initializer_list<WorkerLook> looks, std::chrono::milliseconds awake = 15s) {
    HealthHistory history;
    for (const WorkerLook& look : looks) history = look_again(history, look, awake);
    return history;
}

TEST(HealthPolicy, a_handler_that_runs_on_is_busy_from_look_to_look) {
    EXPECT_EQ(after({in_handler, in_handler, in_handler}).busy, 45s);
}

TEST(HealthPolicy, what_was_before_the_last_look_does_not_count) {
    EXPECT_EQ(after({in_handler}).busy, 15s) << "whatever its record says";
    EXPECT_EQ(after({{.state = WorkerState::InHandler, .since_ns = 7, .age = 3s}}).busy, 3s);
    EXPECT_EQ(after({{.state = WorkerState::InHandler, .since_ns = 7, .age = -3s}}).busy, 0s) << "written just now";
}

TEST(HealthPolicy, a_sign_of_life_begins_anew) {
    WorkerLook later = in_handler;
    later.since_ns = 8;
    later.age = 1s;
    HealthHistory history = after({in_handler, in_handler, in_handler, in_handler});
    history.asked = true;
    EXPECT_EQ(look_again(history, later, 15s), (HealthHistory{.since_ns = 8, .busy = 1s}));
}

TEST(HealthPolicy, a_worker_outside_its_handler_never_hangs) {
    for (const auto state : {WorkerState::Vacant, WorkerState::Starting, WorkerState::Idle,
                             WorkerState::WaitingForClient, WorkerState::Draining}) {
        const WorkerLook look{.state = state, .since_ns = 7, .age = 24h};
        EXPECT_EQ(after({in_handler, in_handler, look}).busy, 0s) << static_cast<int>(state);
        EXPECT_EQ(judge(after({look, look, look, look, look}), timeout), Verdict::Well) << static_cast<int>(state);
    }
}

TEST(HealthPolicy, who_is_busy_for_long_is_asked_and_hangs_only_without_an_answer) {
    EXPECT_EQ(judge({.busy = 30s}, timeout), Verdict::Well);
    EXPECT_EQ(judge({.busy = 30'001ms}, timeout), Verdict::Ask);
    EXPECT_EQ(judge({.busy = 60s, .asked = true}, timeout), Verdict::Ask);
    EXPECT_EQ(judge({.busy = 60'001ms}, timeout), Verdict::Ask) << "nobody has asked yet";
    EXPECT_EQ(judge({.busy = 60'001ms, .asked = true}, timeout), Verdict::Hung);
}

TEST(HealthPolicy, without_a_timeout_nobody_hangs) {
    EXPECT_EQ(judge({.busy = 24h, .asked = true}, 0s), Verdict::Well);
}

TEST(HealthPolicy, a_gap_longer_than_the_plan_was_no_time_at_all) {
    EXPECT_EQ(awake_of(15s, 15s), 15s);
    EXPECT_EQ(awake_of(16s, 15s), 16s) << "a busy machine";
    EXPECT_EQ(awake_of(17s, 15s), 0s) << "a suspended one";
    EXPECT_EQ(awake_of(24h, 15s), 0s);
    EXPECT_EQ(awake_of(3s, 15s), 3s) << "a look before its time";
}

TEST(HealthPolicy, after_a_suspended_machine_nobody_is_killed_at_once) {
    HealthHistory history = after({in_handler, in_handler, in_handler, in_handler});
    history.asked = true;
    history = look_again(history, in_handler, awake_of(24h, 15s));
    EXPECT_NE(judge(history, timeout), Verdict::Hung);
}

TEST(HealthPolicy, who_stays_stopped_for_the_timeout_is_lifeless) {
    EXPECT_EQ(judge(after({stopped, stopped, stopped, stopped, stopped}), timeout), Verdict::Well);
    EXPECT_EQ(judge(after({stopped, stopped, stopped, stopped, stopped, stopped}), timeout), Verdict::Lifeless);
    EXPECT_EQ(judge({.stopped = 2s}, 0s), Verdict::Well);
    EXPECT_EQ(judge({.stopped = 2001ms}, 0s), Verdict::Lifeless);
}

TEST(HealthPolicy, who_is_found_stopped_went_on_until_then) {
    EXPECT_EQ(after({stopped}).stopped, 0s);
    EXPECT_EQ(after({in_handler, stopped}).stopped, 0s);
    EXPECT_EQ(after({stopped, in_handler, stopped, stopped}).stopped, 15s);
}

TEST(HealthPolicy, who_goes_on_was_not_busy_while_it_was_stopped) {
    EXPECT_EQ(after({in_handler, stopped, stopped, in_handler}).busy, 15s);
    EXPECT_EQ(after({stopped, stopped, {.state = WorkerState::Idle, .since_ns = 7}}), (HealthHistory{.since_ns = 7}));
}

TEST(HealthPolicy, looks_are_as_rare_as_the_timeout_allows) {
    EXPECT_EQ(until_next_look(60s, 0s, false), 15s);
    EXPECT_EQ(until_next_look(1h, 0s, false), 15s);
    EXPECT_EQ(until_next_look(2s, 0s, false), 500ms);
    EXPECT_EQ(until_next_look(1ms, 0s, false), 10ms) << "never a busy poll";
    EXPECT_EQ(until_next_look(0s, 0s, false), std::nullopt);
    EXPECT_EQ(until_next_look(0s, 0s, true), 100ms) << "a stopped worker may take wake-ups with it";
    EXPECT_EQ(until_next_look(60s, 0s, true), 100ms);
}

TEST(HealthPolicy, who_will_hang_soon_is_looked_at_on_time) {
    EXPECT_EQ(until_next_look(60s, 31s, false), 15s);
    EXPECT_EQ(until_next_look(60s, 55s, false), 5001ms);
    EXPECT_EQ(until_next_look(60s, 2h, false), 10ms);
}

TEST(HealthPolicy, more_workers_must_go_on_than_hang) {
    for (int workers = 1; workers <= 9; ++workers)
        for (int hung = 0; hung <= workers; ++hung)
            EXPECT_EQ(has_quorum(workers, hung), workers - hung > hung) << hung << " of " << workers;
}

TEST(HealthPolicy, a_pool_that_is_being_respawned_is_not_stuck) { EXPECT_TRUE(has_quorum(0, 0)); }

}  // namespace
}  // namespace preforkd
