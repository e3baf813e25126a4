// A pool that follows the demand, with a master whose time the test moves.
#include <ctime>

#include "common/process/cpu_count.hpp"
#include "daemon/master/pool/pool.hpp"
#include "tests/process/pool_fixture.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using namespace pool_test;
using What = Note::What;

using PoolSize = PoolTest;

/// Is full as soon as it is ready; loses its client when it hears EmptyQueue.
int is_full(const Wires& wires, WorkerHandoff& handoff) {
    handoff.record.active.store(1);
    return serve(wires, handoff, [](WorkerHandoff& own) { own.record.active.store(0); });
}

constexpr PoolSettings one_to_eight{
    .workers = 1, .range = SizeLimits{.fewest = 1, .most = 8, .least_spare = 1, .most_spare = 1}, .connections = 1};

/// A listener, and a client that nobody accepts.
struct Queue {
    std::shared_ptr<std::vector<Listener>> listeners = std::make_shared<std::vector<Listener>>();
    UniqueFd client{};

    Queue() {
        listeners->push_back(Listener{.fd = testing::listen_on_loopback()});
        client = testing::connect_to(SocketAddress::local_of(listeners->front().fd.get()));
    }
};

TEST_F(PoolSize, a_pool_at_rest_has_nothing_to_decide) {
    Master master{one_to_eight, idle};
    ASSERT_TRUE(master.until_ready());
    EXPECT_EQ(master.wakes_in(), std::nullopt);
    EXPECT_EQ(master.pool.counts().target, 1);
}

TEST_F(PoolSize, when_the_last_spare_worker_is_full_another_is_started) {
    Master master{one_to_eight, [](const Wires& wires, WorkerHandoff& handoff) {
                      return serve(wires, handoff, [](WorkerHandoff& own) {
                          own.record.active.store(1);
                          send_report(own.channel.reports.get(), Report::Kind::Full);
                      });
                  }};
    ASSERT_TRUE(master.until_ready());
    master.pool.order_all(Order::EmptyQueue);
    ASSERT_TRUE(master.until([&] { return master.pool.counts().with_clients == 1 && master.pool.counts().idle == 1; }));
    EXPECT_EQ(master.pool.counts().target, 2);
    EXPECT_EQ(master.noted(What::Born), 2);
}

TEST_F(PoolSize, while_clients_wait_the_pool_grows_in_bursts_up_to_its_limit) {
    const Queue queue;
    Master master{one_to_eight, is_full, queue.listeners};
    std::vector<int> targets;
    ASSERT_TRUE(master.until([&] {
        if (const int target = master.pool.counts().target; targets.empty() || targets.back() != target)
            targets.push_back(target);
        return targets.back() == 8;
    }));
    EXPECT_EQ(targets, (std::vector{1, 2, 4, 8}));
    ASSERT_TRUE(master.until_ready());
    EXPECT_EQ(master.noted(What::Born), 8);
}

TEST_F(PoolSize, after_a_minute_of_surplus_one_worker_a_second_is_dismissed) {
    const Queue queue;
    Master master{one_to_eight, is_full, queue.listeners};
    ASSERT_TRUE(master.until([&] { return master.pool.counts().with_clients == 8; }));
    master.pool.order_all(Order::EmptyQueue);
    ASSERT_TRUE(master.until_noted(What::EmptiedQueue, 8));
    pass(master, 60s);
    EXPECT_EQ(master.pool.counts().target, 8) << "a minute after it was seen, and not before";
    pass(master, 7s);
    EXPECT_LT(master.pool.counts().target, 8);
    EXPECT_GT(master.pool.counts().target, 1) << "one by one";
    pass(master, 8s);
    EXPECT_EQ(master.pool.counts().target, 1);
    ASSERT_TRUE(master.until([&] { return master.pool.counts().leaving == 0; }));
    EXPECT_EQ(master.noted(What::AskedToLeave), 7);
    EXPECT_EQ(master.pool.counts().idle, 1);
    EXPECT_EQ(master.wakes_in(), std::nullopt);
}

/// Uses nearly a second of a CPU when it hears EmptyQueue, however long that takes here.
int computes(const Wires& wires, WorkerHandoff& handoff) {
    return serve(wires, handoff, [](WorkerHandoff&) {
        for (const std::clock_t end = std::clock() + 95 * CLOCKS_PER_SEC / 100; std::clock() < end;) continue;
    });
}

TEST_F(PoolSize, copies_that_compute_for_three_seconds_get_another) {
    if (usable_cpus() < 2) GTEST_SKIP() << "there is one CPU";
    Master master{{.workers = 1, .range = SizeLimits{.fewest = 1, .most = 8}, .runs_copies = true}, computes};
    ASSERT_TRUE(master.until_ready());
    const auto compute_for_a_second = [&](int looks) {
        master.pool.order_all(Order::EmptyQueue);
        ASSERT_TRUE(master.until_noted(What::EmptiedQueue, looks));
        master.now += 1s;
        master.pool.maintain(master.now);
    };
    for (int looks = 1; looks <= 4; ++looks) compute_for_a_second(looks);
    EXPECT_EQ(master.pool.counts().target, 1) << "the first look has nothing to compare with";
    compute_for_a_second(5);
    EXPECT_EQ(master.pool.counts().target, 2);
    ASSERT_TRUE(master.until_ready());
    EXPECT_LE(master.wakes_in().value_or(1h), 1s) << "nobody tells: it looks";
}

TEST_F(PoolSize, one_worker_more_moves_the_least_number_of_a_range) {
    Master master{one_to_eight, idle};
    ASSERT_TRUE(master.until_ready());
    master.pool.resize(+1);
    ASSERT_TRUE(master.until([&] { return master.pool.counts().idle == 2; }));
    pass(master, 2min);
    EXPECT_EQ(master.pool.counts().target, 2) << "it is no surplus";
    for (int times = 0; times < 10; ++times) master.pool.resize(+1);
    EXPECT_EQ(master.pool.counts().target, 8) << "the range ends there";
    ASSERT_TRUE(master.until_ready());
    for (int times = 0; times < 10; ++times) master.pool.resize(-1);
    master.pool.maintain(master.now);  // as after each signal
    pass(master, 3min);
    EXPECT_EQ(master.pool.counts().target, 1);
}

TEST_F(PoolSize, the_next_generation_starts_with_what_the_demand_needs) {
    const Queue queue;
    Master master{one_to_eight, is_full, queue.listeners};
    ASSERT_TRUE(master.until([&] { return master.pool.counts().with_clients == 8; }));
    Generation next = master.pool.current();
    next.number = 2;
    next.pool.workers = 1;
    next.pool.range->most = 6;
    master.pool.boot(std::move(next));
    EXPECT_EQ(master.pool.next()->pool.workers, 6);
    ASSERT_TRUE(master.until([&] { return master.pool.next_ready(); }));
}

}  // namespace
}  // namespace preforkd
