#include "common/channel/scoreboard.hpp"

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

#include "common/channel/channel.hpp"
#include "common/process/spawn.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

TEST(Scoreboard, a_record_starts_zeroed_in_state_starting_just_now) {
    Scoreboard scoreboard{4};
    const auto before = recent_time().time_since_epoch().count();
    const WorkerRecord& record = scoreboard[scoreboard.acquire()];
    EXPECT_EQ(record.state, WorkerState::Starting);
    EXPECT_GE(record.since_ns, before);
    EXPECT_LE(record.since_ns, Clock::now().time_since_epoch().count());
    EXPECT_EQ(record.pid, 0u);
    EXPECT_EQ(record.accepted, 0u);
    EXPECT_EQ(record.served, 0u);
    EXPECT_EQ(record.active, 0u);
    EXPECT_EQ(record.dropped_log_lines, 0u);
}

TEST(Scoreboard, every_record_is_given_once_and_then_there_are_no_more) {
    Scoreboard scoreboard{3};
    EXPECT_EQ(scoreboard.capacity(), 3u);
    std::set<std::size_t> taken;
    for (int n = 0; n < 3; ++n) taken.insert(scoreboard.acquire());
    EXPECT_EQ(taken, (std::set<std::size_t>{0, 1, 2}));
    EXPECT_THROW((void)scoreboard.acquire(), std::length_error);
    scoreboard.release(1);
    EXPECT_EQ(scoreboard.acquire(), 1u);
    EXPECT_THROW((void)scoreboard.acquire(), std::length_error);
}

TEST(Scoreboard, records_share_no_cache_line) {
    Scoreboard scoreboard{3};
    for (std::size_t n = 1; n < 3; ++n)
        EXPECT_GE(reinterpret_cast<std::byte*>(&scoreboard[n]) - reinterpret_cast<std::byte*>(&scoreboard[n - 1]), 128);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&scoreboard[0]) % alignof(WorkerRecord), 0u);
}

TEST(Scoreboard, what_the_dead_had_counted_is_kept_in_the_totals) {
    Scoreboard scoreboard{2};
    for (int generation = 0; generation < 3; ++generation) {
        const std::size_t index = scoreboard.acquire();
        count(scoreboard[index].accepted, 10);
        count(scoreboard[index].served, 7);
        count(scoreboard[index].active, 3);
        count(scoreboard[index].dropped_log_lines);
        TrafficCounter{scoreboard[index].traffic, TrafficCounter::Writers::One}.received(100);
        TrafficCounter{scoreboard[index].traffic, TrafficCounter::Writers::Many}.sent(20);
        scoreboard.release(index);
    }
    EXPECT_EQ(scoreboard.totals().accepted, 30u);
    EXPECT_EQ(scoreboard.totals().served, 21u);
    EXPECT_EQ(scoreboard.totals().dropped_log_lines, 3u);
    EXPECT_EQ(scoreboard.totals().received_bytes, 300u);
    EXPECT_EQ(scoreboard.totals().sent_bytes, 60u);
}

TEST(Scoreboard, the_living_are_not_in_the_totals) {
    Scoreboard scoreboard{2};
    count(scoreboard[scoreboard.acquire()].served, 7);
    EXPECT_EQ(scoreboard.totals().served, 0u);
}

TEST(Scoreboard, a_record_is_reused_zeroed) {
    Scoreboard scoreboard{1};
    WorkerRecord& record = scoreboard[scoreboard.acquire()];
    record.pid = 42;
    count(record.accepted, 5);
    count(record.active, 5);
    enter(record, WorkerState::InHandler);
    scoreboard.release(0);
    EXPECT_EQ(scoreboard[0].state, WorkerState::Vacant);
    (void)scoreboard.acquire();
    EXPECT_EQ(record.state, WorkerState::Starting);
    EXPECT_EQ(record.pid, 0u);
    EXPECT_EQ(record.accepted, 0u);
    EXPECT_EQ(record.active, 0u);
}

TEST(Scoreboard, a_childs_writes_are_seen_by_the_parent_and_survive_its_kill) {
    Scoreboard scoreboard{2};
    const std::size_t index = scoreboard.acquire();
    ChannelPair channel = open_channel();
    const ChildProcess child = spawn([&] {
        WorkerRecord& own = scoreboard[index];
        count(own.accepted, 3);
        count(own.served, 2);
        enter(own, WorkerState::InHandler);
        send_report(channel.worker.get(), Report::Kind::Ready);
        for (;;) ::pause();
        return 0;
    });
    ASSERT_TRUE(testing::comes(channel.master.get()));
    EXPECT_EQ(scoreboard[index].state, WorkerState::InHandler);
    EXPECT_EQ(scoreboard[index].accepted, 3u);
    child.signal(SIGKILL);
    EXPECT_EQ(testing::end_of(child), testing::killed(SIGKILL));
    EXPECT_EQ(scoreboard[index].state, WorkerState::InHandler);
    scoreboard.release(index);
    EXPECT_EQ(scoreboard.totals().accepted, 3u);
    EXPECT_EQ(scoreboard.totals().served, 2u);
}

}  // namespace
}  // namespace preforkd
