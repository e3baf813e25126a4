#include "daemon/master/pool/report_policy.hpp"

#include <gtest/gtest.h>

#include <array>

namespace preforkd {
namespace {

using State = WorkerEntry::State;
using ReportKind = Report::Kind;
using enum ReportVerdict;

constexpr std::array kinds{ReportKind::Ready,    ReportKind::Paused, ReportKind::Full,
                           ReportKind::Retiring, ReportKind::Failed, ReportKind::Extend};
constexpr std::array states{State::Starting, State::Ready, State::Retiring, State::Leaving, State::Doomed};

TEST(ReportPolicy, one_that_starts_is_ready_or_fails_and_says_nothing_else) {
    EXPECT_EQ(judge(State::Starting, false, ReportKind::Ready), Accept);
    EXPECT_EQ(judge(State::Starting, false, ReportKind::Failed), Accept);
    for (const ReportKind kind : {ReportKind::Paused, ReportKind::Full, ReportKind::Retiring})
        EXPECT_EQ(judge(State::Starting, false, kind), OutOfTurn) << name_of(kind);
}

TEST(ReportPolicy, nobody_is_ready_twice) {
    for (const State state : {State::Ready, State::Retiring})
        EXPECT_EQ(judge(state, false, ReportKind::Ready), OutOfTurn);
}

TEST(ReportPolicy, one_that_was_told_to_leave_as_it_became_ready_is_not_to_blame) {
    for (const State state : {State::Leaving, State::Doomed})
        for (const ReportKind kind : {ReportKind::Ready, ReportKind::Retiring})
            EXPECT_EQ(judge(state, false, kind), Ignore);
}

TEST(ReportPolicy, whoever_has_served_may_have_left_the_queue_while_clients_wait) {
    for (const State state : {State::Ready, State::Retiring, State::Leaving, State::Doomed})
        for (const ReportKind kind : {ReportKind::Paused, ReportKind::Full})
            EXPECT_EQ(judge(state, false, kind), Accept);
}

TEST(ReportPolicy, a_replacement_is_asked_for_once) {
    EXPECT_EQ(judge(State::Ready, false, ReportKind::Retiring), Accept);
    EXPECT_EQ(judge(State::Retiring, false, ReportKind::Retiring), Ignore);
}

TEST(ReportPolicy, time_is_asked_for_by_who_starts_or_leaves) {
    for (const State state : states)
        EXPECT_EQ(judge(state, false, ReportKind::Extend),
                  state == State::Starting || state == State::Leaving ? Accept : Ignore);
}

TEST(ReportPolicy, a_failure_is_the_last_word) {
    for (const State state : states) {
        EXPECT_EQ(judge(state, false, ReportKind::Failed), Accept);
        for (const ReportKind kind : kinds) EXPECT_EQ(judge(state, true, kind), OutOfTurn) << name_of(kind);
    }
}

}  // namespace
}  // namespace preforkd
