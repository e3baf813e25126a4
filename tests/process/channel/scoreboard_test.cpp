#include "common/channel/scoreboard.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/channel/channel.hpp"
#include "common/process/spawn.hpp"
#include "tests/process/child_report.hpp"
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
    std::set<std::size_t> taken;
    for (int n = 0; n < 3; ++n) taken.insert(scoreboard.acquire());
    EXPECT_EQ(taken.size(), 3u);
    EXPECT_THROW((void)scoreboard.acquire(), std::length_error);
    scoreboard.release(*taken.rbegin());
    EXPECT_EQ(scoreboard.acquire(), *taken.rbegin());
    EXPECT_THROW((void)scoreboard.acquire(), std::length_error);
}

TEST(Scoreboard, each_record_that_is_given_begins_a_page_and_has_it_alone) {
    Scoreboard scoreboard{3};
    std::set<std::uintptr_t> pages;
    const auto page_bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    for (int n = 0; n < 3; ++n) pages.insert(reinterpret_cast<std::uintptr_t>(&scoreboard[scoreboard.acquire()]));
    EXPECT_EQ(pages.size(), 3u);
    for (const std::uintptr_t page : pages) EXPECT_EQ(page % page_bytes, 0u);
}

/// The mappings of the scoreboard that this process has, a line each.
std::vector<std::string> mappings() {
    std::vector<std::string> found;
    std::ifstream maps{"/proc/self/maps"};
    for (std::string line; std::getline(maps, line);)
        if (line.find("preforkd-scoreboard") != std::string::npos) found.push_back(line);
    return found;
}

TEST(Scoreboard, a_child_has_nothing_of_it_but_the_page_that_it_maps_itself) {
    Scoreboard scoreboard{3};
    (void)scoreboard.acquire();
    const std::size_t index = scoreboard.acquire();
    EXPECT_EQ(testing::in_child([&]() -> std::string {
                  if (!mappings().empty()) return "inherited: " + mappings().front();
                  count(scoreboard.map_own(index).served, 3);
                  return mappings().size() == 1 ? "none" : "more than a page of its own";
              }),
              "none");
    EXPECT_EQ(scoreboard[index].served, 3u);
}

TEST(Scoreboard, its_size_is_nobodys_to_change) {
    const Scoreboard scoreboard{3};
    for (const off_t size : {off_t{0}, off_t{1} << 30}) {
        EXPECT_EQ(::ftruncate(scoreboard.memory_fd(), size), -1);
        EXPECT_EQ(errno, EPERM);
    }
}

UniqueFd copy_of(const Scoreboard& scoreboard) { return UniqueFd{::fcntl(scoreboard.memory_fd(), F_DUPFD_CLOEXEC, 3)}; }

TEST(Scoreboard, another_image_goes_on_with_the_records_of_the_living) {
    Scoreboard before{3};
    const std::size_t living = before.acquire();
    count(before[living].served, 7);
    Scoreboard after{copy_of(before), WorkerTotals{.served = 5}};
    after.adopt(living);
    EXPECT_EQ(after[living].served, 7u);
    EXPECT_NE(after.acquire(), living);
    after.release(living);
    EXPECT_EQ(after.totals(), (WorkerTotals{.served = 12}));
}

TEST(Scoreboard, no_two_workers_of_the_image_before_have_one_record_and_none_has_one_beyond_the_end) {
    Scoreboard before{3};
    const std::size_t living = before.acquire();
    Scoreboard after{copy_of(before), {}};
    after.adopt(living);
    EXPECT_THROW(after.adopt(living), std::runtime_error);
    EXPECT_THROW(after.adopt(1'000'000), std::runtime_error);
}

TEST(Scoreboard, an_image_that_is_told_no_totals_reads_them_in_the_header) {
    Scoreboard before{3};
    const std::size_t index = before.acquire();
    count(before[index].accepted, 4);
    TrafficCounter{before[index].traffic, TrafficCounter::Writers::One}.sent(20);
    before.release(index);
    const Scoreboard after{copy_of(before), {}};
    EXPECT_EQ(after.totals(), (WorkerTotals{.accepted = 4, .sent_bytes = 20}));
}

TEST(Scoreboard, an_age_is_one_that_can_be_whatever_a_worker_writes) {
    WorkerRecord record;
    const Clock::time_point now{std::chrono::hours{1}};
    record.since_ns = std::numeric_limits<std::int64_t>::min();
    EXPECT_EQ(age_of(record, now), std::chrono::hours{1});
    record.since_ns = std::numeric_limits<std::int64_t>::max();
    EXPECT_EQ(age_of(record, now), std::chrono::hours{0});
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
    EXPECT_EQ(record.state, WorkerState::Vacant);
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
        WorkerRecord& own = scoreboard.map_own(index);
        count(own.accepted, 3);
        count(own.served, 2);
        enter(own, WorkerState::InHandler);
        send_report(channel.worker.reports.get(), Report::Kind::Ready);
        for (;;) ::pause();
        return 0;
    });
    ASSERT_TRUE(testing::comes(channel.master.reports.get()));
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
