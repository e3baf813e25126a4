#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/process/pool_fixture.hpp"

namespace preforkd {
namespace {

using namespace pool_test;
using What = Note::What;

/// What the first of two workers does when it is told so; the second takes no part.
using Attack = std::function<void(int reports)>;

class Reports : public PoolTest {
protected:
    /// Whether that ends the first one, and nobody else, and the pool is whole again.
    static void expect_to_end(const Attack& attack) {
        Master master{{.workers = 2}, [&](const Wires& wires, WorkerHandoff& handoff) {
                          return serve(wires, handoff, [&](WorkerHandoff& own) {
                              if (own.number == 1) attack(own.channel.reports.get());
                          });
                      }};
        ASSERT_TRUE(master.until_ready());
        const pid_t other = master.pid_of(2);
        master.pool.order_all(Order::EmptyQueue);
        ASSERT_TRUE(master.until_replaced(1));
        const DeathReport& death = master.pool.deaths().all().back();
        EXPECT_EQ(death.number, 1);
        EXPECT_EQ(death.ordered_by, "master: report out of turn");
        ASSERT_TRUE(master.until_ready());
        EXPECT_EQ(master.pid_of(2), other);
        EXPECT_EQ(master.noted(What::Born), 3);
    }

    static void linger() {
        for (;;) ::pause();
    }
};

TEST_F(Reports, who_is_ready_twice_is_ended) {
    expect_to_end([](int reports) {
        send_report(reports, Report::Kind::Ready);
        linger();
    });
}

TEST_F(Reports, who_fails_again_and_again_is_ended) {
    expect_to_end([](int reports) {
        for (;;) send_report(reports, Report::Kind::Failed, "more for the log");
    });
}

TEST_F(Reports, who_reports_what_is_no_report_is_ended) {
    expect_to_end([](int reports) {
        (void)!::write(reports, "\x7f", 1);
        linger();
    });
}

TEST_F(Reports, who_reports_without_end_is_ended_and_keeps_nobody_waiting) {
    expect_to_end([](int reports) {
        for (;;) send_report(reports, Report::Kind::Full);
    });
}

TEST_F(Reports, those_who_retire_as_soon_as_they_are_ready_are_replaced_50_times_a_second) {
    Master master{{.workers = 1}, [](const Wires& wires, WorkerHandoff& handoff) {
                      const SignalFd signals{SIGQUIT, SIGTERM};
                      send_report(handoff.channel.reports.get(), Report::Kind::Ready);
                      send_report(handoff.channel.reports.get(), Report::Kind::Retiring);
                      return obey(wires, handoff, signals);
                  }};
    const auto delayed = [&] { return master.wakes_in().value_or(0ms) > 0ms; };
    ASSERT_TRUE(master.until([&] { return delayed() || master.noted(What::Born) > 60; }));
    EXPECT_EQ(master.wakes_in(), 20ms);
    EXPECT_EQ(master.noted(What::Born), 51) << "a second's worth of them, and the first";
    EXPECT_EQ(master.pool.counts().idle, 1) << "it serves until it is replaced";
    master.now += 20ms;
    EXPECT_TRUE(master.until([&] { return master.noted(What::Born) == 52; }));
}

TEST_F(Reports, whoever_says_before_it_is_ready_that_it_is_full_never_becomes_ready) {
    Master master{{.workers = 1}, [](const Wires&, WorkerHandoff& handoff) {
                      send_report(handoff.channel.reports.get(), Report::Kind::Full);
                      linger();
                      return 0;
                  }};
    ASSERT_TRUE(master.until([&] { return master.pool.counts().replaced > 0; }));
    EXPECT_FALSE(master.pool.all_ready());
    EXPECT_NE(master.pool.last_failure().find("has reported out of turn (full)"), std::string::npos)
        << master.pool.last_failure();
}

}  // namespace
}  // namespace preforkd
