#include "daemon/master/pool/queue_policy.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

constexpr Clock::time_point start{1000s};

QueueLook waiting(std::chrono::milliseconds after, std::uint64_t queued, std::uint64_t accepted) {
    return {.at = start + after, .all_full = true, .clients_wait = true, .queued = queued, .accepted = accepted};
}

/// How many warnings come of these looks.
int warnings(const std::vector<QueueLook>& looks) {
    QueueHistory history;
    int warnings = 0;
    for (const QueueLook& look : looks) {
        const QueuePlan plan = look_again(history, look);
        history = plan.history;
        warnings += plan.warn ? 1 : 0;
    }
    return warnings;
}

TEST(QueuePolicy, a_client_that_waits_for_a_second_while_all_are_full_is_worth_a_warning) {
    EXPECT_EQ(warnings({waiting(0ms, 1, 2)}), 0);
    EXPECT_EQ(warnings({waiting(0ms, 1, 2), waiting(999ms, 1, 2)}), 0);
    EXPECT_EQ(warnings({waiting(0ms, 1, 2), waiting(1000ms, 1, 2)}), 1);
    EXPECT_EQ(warnings({waiting(0ms, 5, 2), waiting(1000ms, 1, 6)}), 1) << "one of the five is still there";
    EXPECT_EQ(warnings({waiting(0ms, 0, 2), waiting(1000ms, 0, 2)}), 1) << "where the kernel does not tell how many";
}

TEST(QueuePolicy, a_full_pool_that_serves_all_of_them_in_time_is_not) {
    EXPECT_EQ(warnings({waiting(0ms, 5, 2), waiting(1000ms, 5, 7), waiting(2000ms, 5, 12)}), 0);
    QueueLook nobody = waiting(1000ms, 0, 3);
    nobody.clients_wait = false;
    EXPECT_EQ(warnings({waiting(0ms, 1, 2), nobody, waiting(2000ms, 1, 3)}), 0);
    QueueLook space = waiting(1000ms, 1, 2);
    space.all_full = false;
    EXPECT_EQ(warnings({waiting(0ms, 1, 2), space, waiting(2000ms, 1, 2)}), 0);
}

TEST(QueuePolicy, it_is_said_once_a_minute_at_most) {
    std::vector<QueueLook> looks;
    for (int second = 0; second <= 60; ++second) looks.push_back(waiting(second * 1000ms, 1, 2));
    EXPECT_EQ(warnings(looks), 1);
    looks.push_back(waiting(61'000ms, 1, 2));
    EXPECT_EQ(warnings(looks), 2);
}

TEST(QueuePolicy, a_pool_with_space_is_looked_at_until_a_worker_would_tell_again_and_then_no_more) {
    QueueHistory history = told_full({}, start);
    EXPECT_EQ(history.next_look, start + 1s);
    QueueLook look;
    int looks = 0;
    for (; history.next_look; ++looks) {
        look.at = *history.next_look;
        history = look_again(history, look).history;
    }
    EXPECT_EQ(looks, 6);
    EXPECT_GT(look.at - start, between_full_reports);
}

TEST(QueuePolicy, workers_that_are_full_for_long_with_nobody_waiting_are_looked_at_ever_more_rarely) {
    QueueHistory history = told_full({}, start);
    std::vector<std::chrono::seconds> pauses;
    for (int looks = 0; looks < 6; ++looks) {
        const Clock::time_point at = *history.next_look;
        history = look_again(history, {.at = at, .all_full = true}).history;
        pauses.push_back(std::chrono::duration_cast<std::chrono::seconds>(*history.next_look - at));
    }
    EXPECT_EQ(pauses, (std::vector<std::chrono::seconds>{1s, 2s, 4s, 8s, 15s, 15s}));
}

TEST(QueuePolicy, what_helps_depends_on_the_model_and_on_what_is_short) {
    EXPECT_NE(what_helps(Model::Serial, false, false).find("--model thread"), std::string_view::npos);
    EXPECT_NE(what_helps(Model::Serial, true, false).find("--model fork"), std::string_view::npos);
    for (const Model model : {Model::Async, Model::Thread, Model::Fork}) {
        EXPECT_NE(what_helps(model, false, false).find("--connections"), std::string_view::npos);
        EXPECT_EQ(what_helps(model, false, true).find("--connections"), std::string_view::npos);
        EXPECT_NE(what_helps(model, false, true).find("RLIMIT_NOFILE"), std::string_view::npos);
    }
}

}  // namespace
}  // namespace preforkd
