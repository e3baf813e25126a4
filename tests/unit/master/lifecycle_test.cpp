#include "daemon/master/lifecycle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using enum Phase;
using enum Action;
using Actions = std::vector<Action>;

constexpr Clock::time_point start{1'000'000s};
constexpr Clock::time_point at = start + 7s;  // when events happen
constexpr Timeouts limits{.drain = 30s, .terminate = 2s};
constexpr Timeouts delayed{.withdraw = 5s, .drain = 30s, .terminate = 2s};
constexpr std::array all_phases{Starting, Running, Withdrawing, Draining, Killing, Stopped};

const Event graceful = StopRequested{Urgency::Graceful, at};
const Event fast = StopRequested{Urgency::Fast, at};
const Event hopeless = PoolHopeless{at};
const Event late = DeadlinePassed{at};
const Event extended = StartExtended{at};
const std::array all_events{Event{PoolReady{}}, hopeless, Event{PoolEmpty{}}, graceful, fast, late, extended};

Lifecycle in(Phase phase, int exit_code = 0) { return {.phase = phase, .deadline = start, .exit_code = exit_code}; }

void expect_unchanged(Phase phase, const Event& event) {
    const Lifecycle before = in(phase, 42);
    const Step result = step(before, event, limits);
    EXPECT_EQ(result.next, before) << "phase " << static_cast<int>(phase) << " event " << event.index();
    EXPECT_THAT(result.actions, IsEmpty());
}

void expect_step(const Lifecycle& before, const Event& event, const Lifecycle& after, const Actions& actions,
                 const Timeouts& patience = limits) {
    const Step result = step(before, event, patience);
    EXPECT_EQ(result.next, after) << "phase " << static_cast<int>(before.phase) << " event " << event.index();
    EXPECT_EQ(result.actions, actions) << "phase " << static_cast<int>(before.phase) << " event " << event.index();
}

TEST(Lifecycle, a_ready_pool_ends_the_start_and_its_deadline) {
    expect_step(in(Starting), PoolReady{}, {Running, std::nullopt, 0}, {AnnounceReady});
}

TEST(Lifecycle, readiness_is_announced_once) {
    for (const Phase phase : {Running, Withdrawing, Draining, Killing, Stopped}) expect_unchanged(phase, PoolReady{});
}

TEST(Lifecycle, a_pool_that_never_became_ready_is_given_up_with_69) {
    const Lifecycle giving_up{Killing, at + 2s, never_ready};
    expect_step(in(Starting), hopeless, giving_up, {AnnounceStopping, CloseListeners, TerminateWorkers});
    expect_step(in(Starting), late, giving_up, {AnnounceStopping, CloseListeners, TerminateWorkers});
    EXPECT_EQ(never_ready, 69);
}

TEST(Lifecycle, a_start_lasts_as_long_as_a_worker_has_asked_for) {
    expect_step(in(Starting), extended, {Starting, at, 0}, {});
    expect_step({Starting, at + 1s, 0}, extended, {Starting, at + 1s, 0}, {});
    expect_step({Starting, std::nullopt, 0}, extended, {Starting, std::nullopt, 0}, {});
    for (const Phase phase : {Running, Withdrawing, Draining, Killing, Stopped}) expect_unchanged(phase, extended);
}

TEST(Lifecycle, only_a_start_can_be_hopeless) {
    for (const Phase phase : {Running, Withdrawing, Draining, Killing, Stopped}) expect_unchanged(phase, hopeless);
}

TEST(Lifecycle, a_graceful_stop_drains_within_the_stop_timeout) {
    for (const Phase phase : {Starting, Running})
        expect_step(in(phase), graceful, {Draining, at + 30s, 0},
                    {AnnounceStopping, CloseListeners, AskWorkersToFinish});
}

TEST(Lifecycle, with_a_drain_delay_a_graceful_stop_is_announced_before_anything_is_closed) {
    expect_step(in(Running), graceful, {Withdrawing, at + 5s, 0}, {AnnounceStopping}, delayed);
}

TEST(Lifecycle, the_drain_follows_the_delay_or_a_second_graceful_stop) {
    for (const Event& next : {late, graceful})
        expect_step(in(Withdrawing), next, {Draining, at + 30s, 0}, {CloseListeners, AskWorkersToFinish}, delayed);
}

TEST(Lifecycle, a_third_graceful_stop_cuts_the_drain_short_that_follows_a_delay) {
    expect_step(in(Draining), graceful, {Killing, at + 2s, 0}, {TerminateWorkers}, delayed);
}

TEST(Lifecycle, a_fast_stop_waits_for_no_delay) {
    expect_step(in(Running), fast, {Killing, at + 2s, 0}, {AnnounceStopping, CloseListeners, TerminateWorkers},
                delayed);
    expect_step(in(Withdrawing), fast, {Killing, at + 2s, 0}, {CloseListeners, TerminateWorkers}, delayed);
}

TEST(Lifecycle, a_stop_during_the_start_waits_for_no_delay_because_nobody_sends_clients_yet) {
    expect_step(in(Starting), graceful, {Draining, at + 30s, 0}, {AnnounceStopping, CloseListeners, AskWorkersToFinish},
                delayed);
}

TEST(Lifecycle, a_fast_stop_terminates_without_draining) {
    for (const Phase phase : {Starting, Running})
        expect_step(in(phase), fast, {Killing, at + 2s, 0}, {AnnounceStopping, CloseListeners, TerminateWorkers});
}

TEST(Lifecycle, a_second_graceful_stop_cuts_the_drain_short_and_closes_nothing_again) {
    for (const Event& again : {graceful, fast})
        expect_step(in(Draining), again, {Killing, at + 2s, 0}, {TerminateWorkers});
}

TEST(Lifecycle, a_drain_that_takes_too_long_is_terminated) {
    expect_step(in(Draining), late, {Killing, at + 2s, 0}, {TerminateWorkers});
}

TEST(Lifecycle, whoever_outlives_the_termination_is_killed_until_it_is_gone) {
    const Lifecycle again{Killing, at + 2s, 69};
    expect_step(in(Killing, 69), late, again, {KillWorkers});
    expect_step(again, late, again, {KillWorkers});
}

TEST(Lifecycle, stop_requests_change_nothing_once_workers_are_terminated) {
    for (const Phase phase : {Killing, Stopped})
        for (const Event& again : {graceful, fast}) expect_unchanged(phase, again);
}

TEST(Lifecycle, the_last_worker_ends_a_stop_and_keeps_its_exit_code) {
    for (const Phase phase : {Draining, Killing})
        for (const int code : {0, never_ready})
            expect_step(in(phase, code), PoolEmpty{}, {Stopped, std::nullopt, code}, {});
}

TEST(Lifecycle, an_empty_pool_is_refilled_and_no_end_while_it_serves) {
    for (const Phase phase : {Starting, Running, Withdrawing, Stopped}) expect_unchanged(phase, PoolEmpty{});
}

TEST(Lifecycle, a_passed_deadline_means_nothing_to_a_running_or_stopped_master) {
    for (const Phase phase : {Running, Stopped}) expect_unchanged(phase, late);
}

TEST(Lifecycle, a_drain_without_a_limit_has_no_deadline_but_its_termination_has) {
    const Timeouts patient{.drain = 0ms, .terminate = 2s};
    EXPECT_EQ(step(in(Running), graceful, patient).next, (Lifecycle{Draining, std::nullopt, 0}));
    EXPECT_EQ(step(in(Draining), graceful, patient).next, (Lifecycle{Killing, at + 2s, 0}));
}

TEST(Lifecycle, the_phase_only_moves_right) {
    for (const Timeouts& patience : {limits, delayed})
        for (const Phase phase : all_phases)
            for (const Event& event : all_events)
                EXPECT_GE(step(in(phase), event, patience).next.phase, phase) << event.index();
}

TEST(Lifecycle, every_order_of_events_closes_listeners_at_most_once_and_never_announces_after_stopping) {
    constexpr std::size_t length = 5;
    std::size_t histories = 1;
    for (std::size_t n = 0; n < length; ++n) histories *= all_events.size();
    for (std::size_t history = 0; history < 2 * histories; ++history) {
        const Timeouts& patience = history < histories ? limits : delayed;
        Lifecycle life{};
        Actions taken;
        for (std::size_t n = 0, rest = history; n < length; ++n, rest /= all_events.size()) {
            auto [next, actions] = step(life, all_events[rest % all_events.size()], patience);
            life = next;
            taken.insert(taken.end(), actions.begin(), actions.end());
        }
        for (const Action once :
             {AnnounceReady, AnnounceStopping, CloseListeners, AskWorkersToFinish, TerminateWorkers})
            ASSERT_LE(std::ranges::count(taken, once), 1) << "history " << history;
        const auto stopping = std::ranges::find(taken, AnnounceStopping);
        ASSERT_EQ(std::find(stopping, taken.end(), AnnounceReady), taken.end()) << "history " << history;
        // Workers are told to leave only when nobody new can come to them.
        const auto closing = std::ranges::find(taken, CloseListeners);
        for (const Action order : {AskWorkersToFinish, TerminateWorkers, KillWorkers})
            ASSERT_EQ(std::find(taken.begin(), closing, order), closing) << "history " << history;
    }
}

}  // namespace
}  // namespace preforkd
