// A rolling reload with real workers: one generation is exchanged for another, a worker at a time.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>

#include "tests/process/pool_fixture.hpp"

namespace preforkd::pool_test {
namespace {

using ::testing::HasSubstr;

constexpr int size = 4;
const PoolSettings settings{.workers = size, .boot_timeout = 30s, .stop_timeout = 30s};

/// How many workers accept and how many of the first generation stay, and how few and how many there ever were.
struct Census {
    int accepting = 0;
    int old = 0;
    int processes = 0;
    int fewest_accepting = size;
    int most_processes = size;

    void take(Master& master) {
        StatusReport report;
        master.pool.describe(report, master.now);
        processes = static_cast<int>(report.workers.size());
        old = static_cast<int>(std::ranges::count_if(report.workers, [](const WorkerStatus& worker) {
            return worker.generation == 1 && worker.state != "leaving";
        }));
        const PoolCounts counts = master.pool.counts();
        accepting = counts.idle + counts.with_clients;
        fewest_accepting = std::min(fewest_accepting, accepting);
        most_processes = std::max(most_processes, processes);
    }
};

bool until(Master& master, Census& census, const std::function<bool()>& holds) {
    return master.until([&] {
        census.take(master);
        return holds();
    });
}

class PoolExchange : public PoolTest {
protected:
    void SetUp() override {
        PoolTest::SetUp();
        ::getrlimit(RLIMIT_NOFILE, &files_);
    }
    void TearDown() override {
        ::setrlimit(RLIMIT_NOFILE, &files_);
        PoolTest::TearDown();
    }

    /// Leaves as many descriptors free.
    void leave_descriptors(int count) const {
        std::vector<UniqueFd> free;
        while (static_cast<int>(free.size()) < count) free.emplace_back(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
        const rlimit limit{.rlim_cur = static_cast<rlim_t>(free.back().get()) + 1, .rlim_max = files_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }

    static Generation next_of(Master& master) {
        Generation next = master.pool.current();
        next.number = 2;
        return next;
    }

    rlimit files_{};
};

TEST_F(PoolExchange, one_that_serves_on_for_longer_than_a_stop_would_wait_is_waited_for_no_longer) {
    PoolSettings programs = settings;
    programs.workers = 2;
    programs.runs_programs = true;
    Master master{programs, [](const Wires& wires, WorkerHandoff& handoff) {
                      (void)serve(wires, handoff);
                      if (handoff.generation == 1) wires.pass_barrier();
                      return 0;
                  }};
    ASSERT_TRUE(master.until_ready());
    master.pool.boot(next_of(master), RollingReload{});
    ASSERT_TRUE(master.until_noted(Note::What::AskedToLeave, 1));
    EXPECT_EQ(master.noted(Note::What::Born), 3);
    EXPECT_EQ(master.wakes_in(), 34s) << "and then it is not killed";
    pass(master, 34s);
    ASSERT_TRUE(master.until([&] { return master.pool.next_ready(); }));
    master.pool.commit({}, master.now);
    master.pool.maintain(master.now);
    EXPECT_EQ(master.wakes_in(), std::nullopt);
    master.wires.lift_barrier();
    master.wires.lift_barrier();
}

TEST_F(PoolExchange, a_worker_comes_and_then_one_goes) {
    Master master{settings, idle};
    ASSERT_TRUE(master.until_ready());
    master.pool.boot(next_of(master), RollingReload{});
    Census census;
    ASSERT_TRUE(until(master, census, [&] { return master.pool.next_ready(); }));
    EXPECT_EQ(census.fewest_accepting, size);
    EXPECT_EQ(census.most_processes, size + 1);
    master.pool.commit({}, master.now);
    ASSERT_TRUE(until(master, census, [&] { return census.old == 0 && census.processes == size; }));
    EXPECT_TRUE(master.pool.all_ready());
    EXPECT_EQ(master.noted(Note::What::Born), 2 * size);
}

TEST_F(PoolExchange, where_one_more_has_no_space_one_goes_first) {
    Master master{settings, idle};
    ASSERT_TRUE(master.until_ready());
    leave_descriptors(4);  // a channel and a pipe take six for a moment
    master.pool.boot(next_of(master), RollingReload{});
    Census census;
    ASSERT_TRUE(until(master, census, [&] { return master.pool.next_ready(); }));
    EXPECT_EQ(census.fewest_accepting, size - 1);
    EXPECT_EQ(census.most_processes, size);
    EXPECT_FALSE(master.pool.next_hopeless());
    master.pool.commit({}, master.now);
}

TEST_F(PoolExchange, a_worker_that_cannot_start_brings_those_of_before_back) {
    const testing::Pipe starts = testing::make_pipe();
    ::fcntl(starts.reader.get(), F_SETFL, O_NONBLOCK);
    ASSERT_EQ(::write(starts.writer.get(), "xx", 2), 2);
    Master master{settings, idle};
    ASSERT_TRUE(master.until_ready());
    Generation next = next_of(master);
    next.body = [&master, &starts](WorkerHandoff handoff) {
        char start = 0;
        if (::read(starts.reader.get(), &start, 1) == 1) return serve(master.wires, handoff);
        send_report(handoff.channel.reports.get(), Report::Kind::Failed, "the third is one too many");
        return 1;
    };
    master.pool.boot(std::move(next), RollingReload{});
    Census census;
    ASSERT_TRUE(until(master, census, [&] { return census.old == size - 2; })) << "half way";
    ASSERT_TRUE(until(master, census, [&] { return master.pool.next_hopeless(); }));
    EXPECT_FALSE(master.pool.next_ready());
    EXPECT_EQ(master.pool.why_next_failed(), "the third is one too many");
    EXPECT_EQ(census.old, size);
    EXPECT_EQ(census.fewest_accepting, size);
    EXPECT_EQ(census.most_processes, size + 1);
    master.pool.abandon({}, master.now);
    ASSERT_TRUE(until(master, census, [&] { return census.processes == size; }));
    EXPECT_TRUE(master.pool.all_ready());
}

TEST_F(PoolExchange, a_worker_that_dies_while_it_starts_is_named) {
    Master master{settings, idle};
    ASSERT_TRUE(master.until_ready());
    Generation next = next_of(master);
    next.body = [](const WorkerHandoff&) { return 3; };
    master.pool.boot(std::move(next), RollingReload{});
    Census census;
    ASSERT_TRUE(until(master, census, [&] { return master.pool.next_hopeless(); }));
    EXPECT_THAT(master.pool.why_next_failed(), HasSubstr("exited with code 3 before it was ready"));
    EXPECT_EQ(census.old, size) << "nobody was asked to leave";
    EXPECT_EQ(master.noted(Note::What::AskedToLeave), 0);
}

TEST_F(PoolExchange, a_generation_that_has_no_space_beside_the_other_fails_at_once_and_names_the_way) {
    Master master{settings, idle};
    ASSERT_TRUE(master.until_ready());
    leave_descriptors(3);
    master.pool.boot(next_of(master));
    master.pool.maintain(master.now);
    ASSERT_TRUE(master.pool.next_hopeless());
    EXPECT_THAT(master.pool.why_next_failed(), HasSubstr("RLIMIT_NOFILE"));
    EXPECT_THAT(master.pool.why_next_failed(), HasSubstr("--reload rolling"));
    master.pool.abandon({}, master.now);
    EXPECT_TRUE(master.pool.all_ready());
}

}  // namespace
}  // namespace preforkd::pool_test
