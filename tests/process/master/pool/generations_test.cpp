// Services: parts of a pool that are kept at a size of their own.
#include "daemon/master/pool/generations.hpp"

#include "tests/process/pool_fixture.hpp"

namespace preforkd::pool_test {
namespace {

using What = Note::What;

class Services : public PoolTest {
protected:
    /// Two for all that others have not, and one that has one worker.
    static PoolSettings two_and_one() { return {.workers = 3, .services = {{.workers = 2}, {.name = "tcp://:7"}}}; }

    /// Pids, by the names of their services, in order.
    using Living = std::vector<std::pair<std::string, int>>;
    static Living living(Master& master) {
        StatusReport report;
        master.pool.describe(report, master.now);
        Living all;
        for (const WorkerStatus& each : report.workers)
            if (each.state != "leaving") all.emplace_back(each.service, each.pid);
        std::ranges::sort(all);
        return all;
    }
    static std::ptrdiff_t count(Master& master, const std::string& service) {
        return std::ranges::count(living(master), service, &Living::value_type::first);
    }
    static int pid_in(Master& master, const std::string& service) {
        const Living all = living(master);
        return std::ranges::find(all, service, &Living::value_type::first)->second;
    }
};

/// Of the second service one that dies at once.
int die_in_the_second(const Wires& wires, WorkerHandoff& handoff) {
    if (handoff.service == 1) return 1;
    return serve(wires, handoff, [](WorkerHandoff& own) { ++own.record.served; });
}

TEST_F(Services, a_killed_worker_is_replaced_in_its_service) {
    Master master{two_and_one(), [](const Wires& wires, WorkerHandoff& handoff) {
                      handoff.record.served.store(handoff.service);
                      return serve(wires, handoff);
                  }};
    ASSERT_TRUE(master.until_ready());
    for (const char* const service : {"tcp://:7", ""}) {
        const Living before = living(master);
        const std::uint64_t deaths = master.pool.counts().replaced;
        ASSERT_EQ(::kill(pid_in(master, service), SIGKILL), 0);
        ASSERT_TRUE(master.until_replaced(deaths + 1));
        EXPECT_FALSE(master.pool.all_ready());
        ASSERT_TRUE(master.until_ready());
        EXPECT_EQ(count(master, ""), 2);
        EXPECT_EQ(count(master, "tcp://:7"), 1);
        Living stayed;
        std::ranges::set_intersection(before, living(master), std::back_inserter(stayed));
        EXPECT_EQ(stayed.size(), 2U) << "nobody else's are touched";
    }
    EXPECT_EQ(master.pool.counts().served, 2U)
        << "its own have been told whose they are, the dead one and its successor";
}

TEST_F(Services, one_that_is_back_is_not_made_up_for_by_another) {
    Master master{two_and_one(), idle};
    ASSERT_TRUE(master.until_ready());
    const int stopped = pid_in(master, "");
    ASSERT_EQ(::kill(stopped, SIGSTOP), 0);
    ASSERT_TRUE(master.until([&] { return master.pool.counts().stopped == 1 && master.pool.counts().idle == 3; }));
    ASSERT_EQ(::kill(pid_in(master, "tcp://:7"), SIGKILL), 0);
    ASSERT_EQ(::kill(stopped, SIGCONT), 0);
    ASSERT_TRUE(master.until_noted(What::AskedToLeave, 1)) << "three serve where two are wanted";
    ASSERT_TRUE(master.until_replaced(1));
    ASSERT_TRUE(master.until([&] { return master.pool.all_ready() && master.pool.counts().idle == 3; }));
    EXPECT_EQ(master.noted(What::Born), 5);
    EXPECT_EQ(count(master, ""), 2);
}

TEST_F(Services, a_service_whose_workers_die_delays_no_other) {
    Master master{two_and_one(), die_in_the_second};
    ASSERT_TRUE(master.until([&] { return master.pool.counts().replaced == 2 && master.pool.counts().idle == 2; }));
    EXPECT_EQ(master.wakes_in(), 100ms);
    ASSERT_EQ(::kill(pid_in(master, ""), SIGKILL), 0);
    ASSERT_TRUE(master.until([&] { return master.pool.counts().replaced == 3 && master.pool.counts().idle == 2; }))
        << "it is the first of its service";
    EXPECT_EQ(master.wakes_in(), 100ms);
}

TEST_F(Services, the_success_of_another_service_does_not_reset_the_delay) {
    Master master{two_and_one(), die_in_the_second};
    ASSERT_TRUE(master.until([&] { return master.pool.counts().replaced == 2 && master.pool.counts().idle == 2; }));
    master.pool.order_all(Order::EmptyQueue);
    ASSERT_TRUE(master.until_noted(What::EmptiedQueue, 2));
    master.now += 100ms;
    ASSERT_TRUE(master.until_replaced(3));
    EXPECT_EQ(master.wakes_in(), 200ms);
}

TEST_F(Services, a_pool_with_a_service_of_which_none_became_ready_is_hopeless) {
    Master master{two_and_one(), die_in_the_second};
    ASSERT_TRUE(master.until([&] { return master.pool.counts().replaced == 2 && master.pool.counts().idle == 2; }));
    for (std::uint64_t deaths = 3; deaths <= 5; ++deaths) {
        EXPECT_FALSE(master.pool.hopeless()) << deaths;
        master.now += master.wakes_in().value_or(0ms);
        ASSERT_TRUE(master.until_replaced(deaths));
    }
    EXPECT_TRUE(master.pool.hopeless());
}

TEST_F(Services, their_size_is_not_changed_by_an_order) {
    Master master{two_and_one(), idle};
    ASSERT_TRUE(master.until_ready());
    master.pool.resize(1);
    EXPECT_EQ(master.pool.current().pool.workers, 3);
    EXPECT_TRUE(master.pool.all_ready());
}

}  // namespace
}  // namespace preforkd::pool_test
