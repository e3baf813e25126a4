#include "daemon/master/pool/pool.hpp"

#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cstddef>

#include "common/process/spawn.hpp"
#include "tests/process/pool_fixture.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using namespace pool_test;
using What = Note::What;

using Pools = PoolTest;

TEST_F(Pools, a_pool_is_ready_when_its_last_worker_has_reported_in) {
    Master master{{.workers = 3}, [](const Wires& wires, WorkerHandoff& handoff) {
                      if (handoff.number == 3) wires.pass_barrier();
                      return serve(wires, handoff);
                  }};
    EXPECT_TRUE(master.until([&] { return master.pool.counts().idle == 2; }));
    EXPECT_FALSE(master.pool.all_ready());
    EXPECT_EQ(master.pool.counts().starting, 1);
    master.wires.lift_barrier();
    EXPECT_TRUE(master.until_ready());
    EXPECT_EQ(master.pool.counts().idle, 3);
    EXPECT_EQ(master.noted(What::Born), 3);
    EXPECT_EQ(master.wakes_in(), std::nullopt) << "a pool at rest has nothing to wake up for";
}

TEST_F(Pools, a_killed_worker_is_replaced_under_its_number_while_others_serve) {
    Master master{{.workers = 2}, idle};
    ASSERT_TRUE(master.until_ready());
    const pid_t first = master.pid_of(1);
    const pid_t second = master.pid_of(2);
    master.kill_worker(1);
    ASSERT_TRUE(master.until_replaced(1));
    EXPECT_FALSE(master.pool.all_ready());
    ASSERT_TRUE(master.until_ready());
    EXPECT_NE(master.pid_of(1), first);
    EXPECT_EQ(master.pid_of(2), second);
    EXPECT_EQ(master.noted(What::Born), 3);
}

TEST_F(Pools, early_deaths_are_replaced_at_once_and_then_slower_and_slower) {
    Master master{{.workers = 1}, [](const Wires&, WorkerHandoff&) { return 1; }};
    ASSERT_TRUE(master.until_replaced(2)) << "the first replacement comes at once";
    auto delay = 100ms;
    for (std::uint64_t deaths = 3; deaths <= 12; ++deaths) {
        EXPECT_EQ(master.wakes_in(), delay) << deaths;
        master.now += delay - 1ms;
        master.pool.maintain(master.now);
        EXPECT_TRUE(master.pool.empty()) << "too early";
        master.now += 1ms;
        ASSERT_TRUE(master.until_replaced(deaths));
        delay = std::min<std::chrono::milliseconds>(2 * delay, 30s);
    }
    EXPECT_EQ(delay, 30s);
}

TEST_F(Pools, workers_that_were_of_use_are_replaced_at_once_however_many_die) {
    Master master{{.workers = 1}, [](const Wires&, WorkerHandoff& handoff) {
                      count(handoff.record.served);
                      return 1;
                  }};
    EXPECT_TRUE(master.until_replaced(8));
    EXPECT_GE(master.pool.counts().served, 8u) << "the ninth may have served already";
}

TEST_F(Pools, a_siblings_success_resets_the_delay) {
    Master master{{.workers = 2}, [](const Wires& wires, WorkerHandoff& handoff) {
                      if (handoff.number == 1) return 1;
                      return serve(wires, handoff, [](WorkerHandoff& own) { count(own.record.served); });
                  }};
    ASSERT_TRUE(master.until([&] { return master.pool.counts().replaced == 2 && master.pool.counts().idle == 1; }));
    EXPECT_EQ(master.wakes_in(), 100ms);
    master.now += 100ms;
    ASSERT_TRUE(master.until_replaced(3));
    EXPECT_EQ(master.wakes_in(), 200ms);
    master.pool.order_all(Order::EmptyQueue);
    ASSERT_TRUE(master.until_noted(What::EmptiedQueue, 1));
    master.now += 200ms;
    EXPECT_TRUE(master.until_replaced(5)) << "as if it were the first early death";
    EXPECT_EQ(master.wakes_in(), 100ms);
}

TEST_F(Pools, a_pool_of_which_no_worker_became_ready_is_hopeless_and_says_why) {
    Master master{{.workers = 1}, [](const Wires&, WorkerHandoff& handoff) {
                      send_report(handoff.channel.reports.get(), Report::Kind::Failed, "no handler today");
                      return 70;
                  }};
    for (std::uint64_t deaths = 1; deaths <= 5; ++deaths) {
        EXPECT_FALSE(master.pool.hopeless()) << deaths;
        master.now += master.wakes_in().value_or(0ms);
        ASSERT_TRUE(master.until_replaced(deaths));
    }
    EXPECT_TRUE(master.pool.hopeless());
    EXPECT_EQ(master.pool.last_failure(), "no handler today");
}

TEST_F(Pools, a_pool_that_was_ready_once_is_never_given_up) {
    Master master{{.workers = 1}, [](const Wires&, WorkerHandoff& handoff) {
                      send_report(handoff.channel.reports.get(), Report::Kind::Ready);
                      return 1;
                  }};
    for (std::uint64_t deaths = 1; deaths <= 8; ++deaths) {
        master.now += master.wakes_in().value_or(0ms);
        ASSERT_TRUE(master.until_replaced(deaths));
    }
    EXPECT_FALSE(master.pool.hopeless());
}

TEST_F(Pools, a_worker_that_is_not_ready_in_time_is_killed_and_replaced) {
    Master master{{.workers = 1, .boot_timeout = 5s}, [](const Wires& wires, WorkerHandoff&) {
                      wires.pass_barrier();
                      return 0;
                  }};
    ASSERT_TRUE(master.until_noted(What::Born, 1));
    EXPECT_EQ(master.wakes_in(), 5s);
    master.now += 5s;
    ASSERT_TRUE(master.until_replaced(1));
    EXPECT_NE(master.pool.last_failure().find("--boot-timeout"), std::string::npos) << master.pool.last_failure();
    EXPECT_TRUE(master.until_noted(What::Born, 2));
}

TEST_F(Pools, a_retiring_worker_goes_when_its_replacement_accepts_and_not_before) {
    Master master{{.workers = 1}, [](const Wires& wires, WorkerHandoff& handoff) {
                      if (handoff.number == 2) wires.pass_barrier();
                      return serve(wires, handoff, [](WorkerHandoff& own) {
                          send_report(own.channel.reports.get(), Report::Kind::Retiring);
                      });
                  }};
    ASSERT_TRUE(master.until_ready());
    master.pool.order_all(Order::EmptyQueue);
    ASSERT_TRUE(master.until_noted(What::Born, 2));
    master.pool.maintain(master.now);
    EXPECT_EQ(master.pool.counts().idle, 1) << "it accepts until then";
    EXPECT_EQ(master.pool.counts().leaving, 0);
    master.wires.lift_barrier();
    ASSERT_TRUE(master.until_noted(What::AskedToLeave, 1));
    EXPECT_EQ(master.noted(What::AskedToLeave, 1), 1);
    ASSERT_TRUE(master.until([&] { return master.pool.counts().leaving == 0; }));
    EXPECT_TRUE(master.pool.all_ready());
    EXPECT_EQ(master.pool.counts().replaced, 0u) << "that was no accident";
    EXPECT_EQ(master.noted(What::Born), 2);
}

TEST_F(Pools, one_worker_more_is_forked_and_one_fewer_asked_to_leave) {
    Master master{{.workers = 1, .stop_timeout = 30s}, idle};
    ASSERT_TRUE(master.until_ready());
    master.pool.resize(+1);
    EXPECT_FALSE(master.pool.all_ready());
    ASSERT_TRUE(master.until_ready());
    EXPECT_EQ(master.pool.counts().idle, 2);
    master.pool.resize(-1);
    ASSERT_TRUE(master.until_noted(What::AskedToLeave, 1));
    ASSERT_TRUE(master.until([&] { return master.pool.counts().leaving == 0; }));
    EXPECT_EQ(master.pool.counts().idle, 1);
    EXPECT_EQ(master.pool.counts().replaced, 0u);
}

TEST_F(Pools, the_last_worker_stays) {
    Master master{{.workers = 2}, idle};
    master.pool.resize(-5);
    EXPECT_EQ(master.pool.counts().target, 1);
    master.pool.resize(-1);
    EXPECT_EQ(master.pool.counts().target, 1);
    master.pool.resize(+1'000'000);
    EXPECT_EQ(master.pool.counts().target, most_workers);
    master.pool.resize(1 - most_workers);
    ASSERT_TRUE(master.until_ready());
    EXPECT_EQ(master.noted(What::Born), 1);
}

TEST_F(Pools, a_worker_that_does_not_leave_is_killed_4_s_after_the_stop_timeout) {
    Master master{{.workers = 2, .stop_timeout = 10s}, [](const Wires& wires, WorkerHandoff& handoff) {
                      const SignalFd ignored{SIGQUIT};
                      send_report(handoff.channel.reports.get(), Report::Kind::Ready);
                      wires.pass_barrier();
                      return 0;
                  }};
    ASSERT_TRUE(master.until_ready());
    master.pool.resize(-1);
    master.pool.maintain(master.now);
    EXPECT_EQ(master.pool.counts().leaving, 1);
    EXPECT_EQ(master.wakes_in(), 14s);
    master.now += 14s;
    EXPECT_TRUE(master.until([&] { return master.pool.counts().leaving == 0; }));
    EXPECT_TRUE(master.pool.all_ready());
}

TEST_F(Pools, without_a_stop_timeout_a_leaving_worker_is_waited_for) {
    Master master{{.workers = 2, .stop_timeout = 0s}, idle};
    ASSERT_TRUE(master.until_ready());
    master.pool.resize(-1);
    master.pool.maintain(master.now);
    EXPECT_EQ(master.wakes_in(), std::nullopt);
}

TEST_F(Pools, once_all_are_told_to_leave_nobody_is_replaced) {
    for (const int signo : {SIGQUIT, SIGTERM}) {
        Master master{{.workers = 3}, idle};
        ASSERT_TRUE(master.until_ready());
        master.kill_worker(2);
        master.pool.signal_all(signo);
        EXPECT_TRUE(master.until([&] { return master.pool.empty(); }));
        EXPECT_EQ(master.noted(What::Born), 3);
        EXPECT_EQ(master.pool.counts().replaced, 0u);
        EXPECT_EQ(master.wakes_in(), std::nullopt);
    }
}

/// Serves, and its first life starts a program that holds the barrier open; `ignored` is a signal it takes no notice
/// of.
int serve_with_program(const Wires& wires, WorkerHandoff& handoff, int ignored, bool in_own_group) {
    ::setsid();
    if (!wires.barrier.writer) return serve(wires, handoff);
    ::signal(ignored, SIG_IGN);
    const ChildProcess program = spawn([] {
        for (;;) ::pause();
        return 0;
    });
    if (in_own_group) ::setpgid(program.pid(), program.pid());
    return serve(wires, handoff);
}

class PoolsWithPrograms : public Pools, public ::testing::WithParamInterface<bool> {};

TEST_P(PoolsWithPrograms, what_a_dead_worker_had_started_is_asked_to_end) {
    Master master{{.workers = 1}, [](const Wires& wires, WorkerHandoff& handoff) {
                      return serve_with_program(wires, handoff, SIGUSR1, GetParam());
                  }};
    ASSERT_TRUE(master.until_ready());
    master.wires.barrier.writer = {};  // from here on worker and program alone have it
    master.kill_worker(1);
    ASSERT_TRUE(master.until_replaced(1));
    EXPECT_TRUE(testing::comes(master.wires.barrier.reader.get())) << "the program lives on";
}

TEST_P(PoolsWithPrograms, what_does_not_end_when_it_is_asked_is_killed_2_s_later) {
    Master master{{.workers = 1}, [](const Wires& wires, WorkerHandoff& handoff) {
                      return serve_with_program(wires, handoff, SIGTERM, GetParam());
                  }};
    ASSERT_TRUE(master.until_ready());
    master.wires.barrier.writer = {};
    master.kill_worker(1);
    ASSERT_TRUE(master.until_replaced(1));
    ASSERT_TRUE(master.until_ready());
    EXPECT_EQ(master.wakes_in(), 2s);
    EXPECT_FALSE(testing::is_readable(master.wires.barrier.reader.get()));
    master.now += 2s;
    master.pool.maintain(master.now);
    EXPECT_TRUE(testing::comes(master.wires.barrier.reader.get())) << "the program lives on";
}

INSTANTIATE_TEST_SUITE_P(Group, PoolsWithPrograms, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "its_own" : "the_workers"; });

TEST_F(Pools, a_pause_has_the_sibling_look_that_has_most_capacity_and_nobody_else) {
    Master master{{.workers = 4, .connections = 2}, [](const Wires& wires, WorkerHandoff& handoff) {
                      if (handoff.number == 2) count(handoff.record.active, 2);
                      if (handoff.number == 3) count(handoff.record.active, 1);
                      return serve(wires, handoff, [](WorkerHandoff& own) {
                          if (own.number == 1) send_report(own.channel.reports.get(), Report::Kind::Paused);
                      });
                  }};
    ASSERT_TRUE(master.until_ready());
    master.pool.order_all(Order::EmptyQueue);
    ASSERT_TRUE(master.until_noted(What::Looked, 1));
    EXPECT_EQ(master.noted(What::Looked, 4), 1);
    master.pool.order_all(Order::LookForClients);  // comes behind whatever was sent before
    ASSERT_TRUE(master.until([&] {
        return master.noted(What::Looked, 1) + master.noted(What::Looked, 2) + master.noted(What::Looked, 3) >= 3;
    }));
    for (const int number : {1, 2, 3}) EXPECT_EQ(master.noted(What::Looked, number), 1) << number;
}

TEST_F(Pools, a_death_has_a_sibling_look) {
    Master master{{.workers = 2}, idle};
    ASSERT_TRUE(master.until_ready());
    master.kill_worker(1);
    ASSERT_TRUE(master.until_noted(What::Looked, 1));
    EXPECT_EQ(master.noted(What::Looked, 2), 1);
}

TEST_F(Pools, the_counts_are_those_of_the_living_and_the_dead) {
    Master master{{.workers = 2, .connections = 8}, [](const Wires& wires, WorkerHandoff& handoff) {
                      if (handoff.number == 1 && handoff.record.served == 0) {
                          count(handoff.record.served, 5);
                          count(handoff.record.active, 3);
                          count(handoff.record.dropped_log_lines, 7);
                      }
                      if (handoff.number == 1) wires.pass_barrier();
                      return serve(wires, handoff);
                  }};
    master.wires.lift_barrier();
    ASSERT_TRUE(master.until_ready());
    PoolCounts counts = master.pool.counts();
    EXPECT_EQ(counts.with_clients, 1);
    EXPECT_EQ(counts.idle, 1);
    EXPECT_EQ(counts.connections, 3u);
    EXPECT_EQ(counts.served, 5u);
    EXPECT_EQ(counts.dropped_log_lines, 7u + dropped_log_lines()) << "of the workers and of this process";
    master.pool.signal_all(SIGKILL);
    ASSERT_TRUE(master.until([&] { return master.pool.empty(); }));
    counts = master.pool.counts();
    EXPECT_EQ(counts.connections, 0u);
    EXPECT_EQ(counts.served, 5u);
    EXPECT_EQ(counts.dropped_log_lines, 7u + dropped_log_lines());
}

TEST_F(Pools, what_a_full_channel_has_no_place_for_is_said_later_and_before_the_worker_is_asked_to_leave) {
    Master master{{.workers = 1}, [](const Wires& wires, WorkerHandoff& handoff) {
                      const SignalFd signals{SIGQUIT, SIGTERM};
                      send_report(handoff.channel.reports.get(), Report::Kind::Ready);
                      wires.pass_barrier();
                      return obey(wires, handoff, signals);
                  }};
    ASSERT_TRUE(master.until_ready());
    for (int times = 0; times < 10'000; ++times) master.pool.order_all(Order::LookForClients);
    master.pool.order_all(Order::EmptyQueue);
    master.pool.signal_all(SIGQUIT);
    EXPECT_EQ(master.wakes_in(), 100ms);
    master.wires.lift_barrier();
    ASSERT_TRUE(master.until_noted(What::AskedToLeave, 1));
    EXPECT_LT(master.noted(What::Looked), 10'000) << "the channel was not full";
    EXPECT_EQ(master.noted(What::EmptiedQueue), 1);
    ASSERT_TRUE(master.until([&] { return master.pool.empty(); }));
}

TEST_F(Pools, a_stranger_is_not_the_pools_to_reap) {
    Master master{{.workers = 1}, idle};
    const ChildProcess stranger = spawn([] { return 7; });
    ASSERT_TRUE(testing::comes(stranger.pidfd()));
    EXPECT_FALSE(master.pool.reap(stranger.pid(), master.now));
    EXPECT_EQ(stranger.try_reap(), testing::exited(7));
    master.pool.hear(stranger.pid(), master.now);
}

TEST_F(Pools, a_worker_that_cannot_be_watched_does_not_live_on_with_a_record_of_somebody_else) {
    EXPECT_EQ(testing::in_child([]() -> std::string {
                  Master master{{.workers = 1}, idle};
                  std::array program{sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                     sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_ctl, 0, 1),
                                     sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
                                     sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
                  testing::restrict_system_calls(program);
                  master.pool.maintain(master.now);
                  if (!master.pool.empty()) return "a worker that is not watched";
                  if (::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD) return "a child that nobody knows";
                  return master.pool.last_failure().find("No space left") == std::string::npos
                             ? master.pool.last_failure()
                             : "none";
              }),
              "none");
}

TEST_F(Pools, a_machine_without_descriptors_delays_the_service_and_does_not_end_it) {
    EXPECT_EQ(testing::in_child([]() -> std::string {
                  Master master{{.workers = 2}, idle};
                  {
                      const testing::FewDescriptors one{1};  // a worker takes three
                      master.pool.maintain(master.now);
                  }
                  if (!master.pool.empty()) return "forked without a descriptor";
                  if (master.wakes_in() != 100ms) return "does not try again after 100 ms";
                  if (master.pool.last_failure().find("Too many open files") == std::string::npos)
                      return master.pool.last_failure();
                  master.now += 100ms;
                  return master.until_ready() ? "served" : "never ready";
              }),
              "served");
}

}  // namespace
}  // namespace preforkd
