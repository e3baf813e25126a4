// Workers that hang or are stopped, with a master whose time the test moves.
#include "daemon/master/pool/pool.hpp"
#include "tests/process/pool_fixture.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using namespace pool_test;
using What = Note::What;

using PoolHealth = PoolTest;

/// The first worker is in its handler; hearing EmptyQueue is its sign of life.
int first_is_busy(const Wires& wires, WorkerHandoff& handoff) {
    if (handoff.number == 1) enter(handoff.record, WorkerState::InHandler);
    return serve(wires, handoff, [](WorkerHandoff& own) { own.record.since_ns.fetch_add(1); });
}

TEST_F(PoolHealth, who_gives_no_sign_of_life_is_asked_then_aborted_and_replaced) {
    Master master{{.workers = 2, .worker_timeout = 60s}, first_is_busy};
    ASSERT_TRUE(master.until_ready());
    const pid_t first = master.pid_of(1);
    pass(master, 60s);
    EXPECT_EQ(master.pool.counts().idle, 2);
    EXPECT_TRUE(master.pool.healthy());
    ASSERT_TRUE(master.until([&] { return master.noted(What::Looked, 1) > 0; })) << "it was asked";
    EXPECT_EQ(master.noted(What::Looked, 2), 0) << "an idle worker is left asleep";
    pass(master, 15s);
    ASSERT_TRUE(master.until_replaced(1));
    ASSERT_TRUE(master.until_ready());
    EXPECT_EQ(::kill(first, 0), -1);
    EXPECT_EQ(master.noted(What::Born), 3);
    EXPECT_TRUE(master.pool.healthy());
}

TEST_F(PoolHealth, the_pool_is_unhealthy_while_half_of_it_hangs) {
    Master master{{.workers = 1, .worker_timeout = 60s}, [](const Wires& wires, WorkerHandoff& handoff) {
                      ::signal(SIGABRT, SIG_IGN);
                      return first_is_busy(wires, handoff);
                  }};
    ASSERT_TRUE(master.until_ready());
    pass(master, 61s);
    EXPECT_FALSE(master.pool.healthy()) << "its replacement is there, and it is not gone";
    pass(master, 2s);
    ASSERT_TRUE(master.until_replaced(1));
    EXPECT_TRUE(master.pool.healthy());
}

TEST_F(PoolHealth, sessions_of_workers_that_were_replaced_do_not_make_it_healthy) {
    Master master{{.workers = 1, .runs_programs = true, .worker_timeout = 60s},
                  [](const Wires& wires, WorkerHandoff& handoff) {
                      if (handoff.number == 2) {
                          ::signal(SIGABRT, SIG_IGN);
                          enter(handoff.record, WorkerState::InHandler);
                      }
                      (void)serve(wires, handoff);
                      wires.pass_barrier();  // who is told to leave stays
                      return 0;
                  }};
    ASSERT_TRUE(master.until_ready());
    Generation next = master.pool.current();
    next.number = 2;
    master.pool.boot(next);
    ASSERT_TRUE(master.until([&] { return master.pool.next_ready(); }));
    master.pool.commit({}, master.now);
    ASSERT_TRUE(master.until_noted(What::AskedToLeave, 1));
    EXPECT_TRUE(master.pool.healthy());
    pass(master, 61s);
    EXPECT_FALSE(master.pool.healthy());
    master.wires.lift_barrier();
}

TEST_F(PoolHealth, a_sign_of_life_in_time_saves_a_worker) {
    Master master{{.workers = 1, .worker_timeout = 60s}, first_is_busy};
    ASSERT_TRUE(master.until_ready());
    for (int times = 1; times <= 6; ++times) {
        pass(master, 50s);
        master.pool.order_all(Order::EmptyQueue);
        ASSERT_TRUE(master.until_noted(What::EmptiedQueue, times));
    }
    EXPECT_EQ(master.pool.counts().replaced, 0U);
    EXPECT_EQ(master.noted(What::Born), 1);
}

TEST_F(PoolHealth, time_in_which_the_master_slept_does_not_count) {
    Master master{{.workers = 1, .worker_timeout = 60s}, first_is_busy};
    ASSERT_TRUE(master.until_ready());
    pass(master, 45s);
    for (int times = 0; times < 5; ++times) {
        master.now += 24h;
        master.pool.maintain(master.now);
    }
    EXPECT_EQ(master.pool.counts().idle, 1);
    pass(master, 30s);
    EXPECT_TRUE(master.until_replaced(1)) << "but then it had its chance";
}

TEST_F(PoolHealth, who_does_not_die_of_the_abort_is_killed) {
    Master master{{.workers = 1, .worker_timeout = 60s}, [](const Wires& wires, WorkerHandoff& handoff) {
                      ::signal(SIGABRT, SIG_IGN);
                      return first_is_busy(wires, handoff);
                  }};
    ASSERT_TRUE(master.until_ready());
    pass(master, 75s);
    EXPECT_EQ(master.pool.counts().idle, 0);
    pass(master, 2s);
    EXPECT_TRUE(master.until_replaced(1));
}

TEST_F(PoolHealth, a_pool_looks_at_its_workers_rarely_and_without_a_timeout_never) {
    Master master{{.workers = 1, .worker_timeout = 60s}, idle};
    ASSERT_TRUE(master.until_ready());
    EXPECT_EQ(master.wakes_in(), 15s);
    Master careless{{.workers = 1}, idle};
    ASSERT_TRUE(careless.until_ready());
    EXPECT_EQ(careless.wakes_in(), std::nullopt);
}

TEST_F(PoolHealth, a_stopped_worker_is_replaced_at_once_and_a_sibling_looks_for_its_clients) {
    Master master{{.workers = 2, .connections = 4}, idle};
    ASSERT_TRUE(master.until_ready());
    ASSERT_EQ(::kill(master.pid_of(1), SIGSTOP), 0);
    ASSERT_TRUE(master.until([&] { return master.noted(What::Born) == 3; }));
    ASSERT_TRUE(master.until([&] { return master.noted(What::Looked) == 1; }));
    EXPECT_EQ(master.noted(What::Looked, 1), 0) << "not the stopped one";
    EXPECT_EQ(master.wakes_in(), 100ms) << "it may have kept a wake-up";
    master.now += 100ms;
    EXPECT_TRUE(master.until([&] { return master.noted(What::Looked) == 2; }));
    EXPECT_TRUE(master.until_ready());
    EXPECT_TRUE(master.pool.healthy());
}

TEST_F(PoolHealth, who_is_continued_makes_one_too_many_and_nobody_dies) {
    Master master{{.workers = 2, .worker_timeout = 60s}, idle};
    ASSERT_TRUE(master.until_ready());
    ASSERT_EQ(::kill(master.pid_of(1), SIGSTOP), 0);
    ASSERT_TRUE(master.until([&] { return master.noted(What::Born) == 3; }));
    ASSERT_TRUE(master.until_ready());
    ASSERT_EQ(::kill(master.pid_of(1), SIGCONT), 0);
    ASSERT_TRUE(master.until([&] { return master.noted(What::AskedToLeave) == 1; }));
    ASSERT_TRUE(master.until([&] { return master.pool.counts().leaving == 0; }));
    EXPECT_EQ(master.pool.counts().idle, 2);
    EXPECT_EQ(master.pool.counts().replaced, 0U);
}

TEST_F(PoolHealth, who_stays_stopped_is_killed_after_the_timeout) {
    for (const auto& [timeout, patience] :
         {std::pair<std::chrono::milliseconds, std::chrono::milliseconds>{10s, 10s}, {0s, 2s}}) {
        Master master{{.workers = 1, .worker_timeout = timeout}, idle};
        ASSERT_TRUE(master.until_ready());
        const pid_t first = master.pid_of(1);
        ASSERT_EQ(::kill(first, SIGSTOP), 0);
        ASSERT_TRUE(master.until([&] { return master.noted(What::Born) == 2; }));
        pass(master, patience - 100ms);
        EXPECT_EQ(master.pool.counts().replaced, 0U);
        pass(master, 300ms);
        EXPECT_TRUE(master.until_replaced(1));
        EXPECT_EQ(::kill(first, 0), -1);
    }
}

}  // namespace
}  // namespace preforkd
