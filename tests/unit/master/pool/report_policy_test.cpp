#include "daemon/master/pool/report_policy.hpp"

#include <gtest/gtest.h>

#include <array>

namespace preforkd {
namespace {

using State = WorkerEntry::State;
using Kind = Report::Kind;
using enum ReportVerdict;

constexpr std::array kinds{Kind::Ready, Kind::Paused, Kind::Full, Kind::Retiring, Kind::Failed};
constexpr std::array states{State::Starting, State::Ready, State::Retiring, State::Leaving, State::Doomed};

TEST(ReportPolicy, one_that_starts_is_ready_or_fails_and_says_nothing_else) {
    EXPECT_EQ(judge(State::Starting, false, Kind::Ready), Accept);
    EXPECT_EQ(judge(State::Starting, false, Kind::Failed), Accept);
    for (const Kind kind : {Kind::Paused, Kind::Full, Kind::Retiring})
        EXPECT_EQ(judge(State::Starting, false, kind), OutOfTurn) << name_of(kind);
}

TEST(ReportPolicy, nobody_is_ready_twice) {
    for (const State state : {State::Ready, State::Retiring}) EXPECT_EQ(judge(state, false, Kind::Ready), OutOfTurn);
}

TEST(ReportPolicy, one_that_was_told_to_leave_as_it_became_ready_is_not_to_blame) {
    for (const State state : {State::Leaving, State::Doomed})
        for (const Kind kind : {Kind::Ready, Kind::Retiring}) EXPECT_EQ(judge(state, false, kind), Ignore);
}

TEST(ReportPolicy, whoever_has_served_may_have_left_the_queue_while_clients_wait) {
    for (const State state : {State::Ready, State::Retiring, State::Leaving, State::Doomed})
        for (const Kind kind : {Kind::Paused, Kind::Full}) EXPECT_EQ(judge(state, false, kind), Accept);
}

TEST(ReportPolicy, a_replacement_is_asked_for_once) {
    EXPECT_EQ(judge(State::Ready, false, Kind::Retiring), Accept);
    EXPECT_EQ(judge(State::Retiring, false, Kind::Retiring), Ignore);
}

TEST(ReportPolicy, a_failure_is_the_last_word) {
    for (const State state : states) {
        EXPECT_EQ(judge(state, false, Kind::Failed), Accept);
        for (const Kind kind : kinds) EXPECT_EQ(judge(state, true, kind), OutOfTurn) << name_of(kind);
    }
}

}  // namespace
}  // namespace preforkd
