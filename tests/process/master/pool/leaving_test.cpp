#include "daemon/master/pool/leaving.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/process/pool_fixture.hpp"

namespace preforkd::pool_test {
namespace {

constexpr Clock::time_point reloaded_at{1'000'000s};
const PoolSettings coming_settings{.stop_timeout = 10s};

class PoolReload : public PoolTest {
protected:
    WorkerRecord record_{};
    WorkerEntry worker_{.record = record_, .process = ChildProcess{::getpid(), ChildProcess::Handle::Later}};

    [[nodiscard]] Dismissal by(const PoolSettings& coming) const {
        return replaced_by(coming, worker_, DeathOrder::Reload, {3}, reloaded_at);
    }
};

TEST_F(PoolReload, a_worker_hears_what_the_settings_that_come_say) {
    worker_.runs_programs = true;
    EXPECT_EQ(by(coming_settings).within, 0ms);
    EXPECT_EQ(by(coming_settings).patience, std::nullopt);
    PoolSettings asked = coming_settings;
    asked.reload_timeout = 2h;
    EXPECT_EQ(by(asked).within, 2h);
    EXPECT_EQ(by(asked).patience, reloaded_at + 2h + 4s);
    EXPECT_EQ(by(asked).closing, std::vector<std::uint32_t>{3});
}

TEST_F(PoolReload, one_of_an_image_that_knew_no_such_order_is_not_told_and_not_waited_for_longer) {
    worker_.runs_programs = true;
    worker_.hears_finish_time = false;
    EXPECT_EQ(by(coming_settings).within, std::nullopt);
    EXPECT_EQ(by(coming_settings).patience, reloaded_at + 14s);
}

/// Told to leave by a reload, and stuck.
struct ToldToLeave {
    std::optional<std::uint32_t> told{};                   ///< in units of finish_unit
    std::optional<std::chrono::milliseconds> killed_in{};  ///< unset: never
    bool operator==(const ToldToLeave&) const = default;
};

ToldToLeave told_by_a_reload(const PoolSettings& settings) {
    Master master{settings, [](const Wires& wires, WorkerHandoff& handoff) {
                      (void)serve(wires, handoff);
                      wires.pass_barrier();
                      return 0;
                  }};
    EXPECT_TRUE(master.until_ready());
    Generation next = master.pool.current();
    next.number = 2;
    master.pool.boot(next);
    EXPECT_TRUE(master.until([&] { return master.pool.next_ready(); }));
    master.pool.commit({}, master.now);
    master.pool.maintain(master.now);
    const auto killed_in = master.wakes_in();
    EXPECT_TRUE(master.until_noted(Note::What::AskedToLeave, 1));
    ToldToLeave seen{.killed_in = killed_in};
    for (const Note& note : master.notes())
        if (note.what == Note::What::TimeToFinish) seen.told = note.argument;
    master.wires.lift_barrier();
    return seen;
}

TEST_F(PoolReload, a_reload_leaves_programs_all_their_time_and_handlers_the_stop_timeout_that_they_know) {
    const PoolSettings handlers{.workers = 1, .stop_timeout = 10s};
    PoolSettings programs = handlers;
    programs.runs_programs = true;
    EXPECT_EQ(told_by_a_reload(handlers), (ToldToLeave{.killed_in = 14s}));
    EXPECT_EQ(told_by_a_reload(programs), (ToldToLeave{.told = 0}));
    for (PoolSettings asked : {handlers, programs}) {
        asked.reload_timeout = 1s;
        EXPECT_EQ(told_by_a_reload(asked), (ToldToLeave{.told = 100, .killed_in = 5s}));
        asked.reload_timeout = 1ms;
        EXPECT_EQ(told_by_a_reload(asked).told, 1U) << "none is for ever";
    }
}

/// Retires at once, and is held by its client when it is told to leave, until the test lifts the barrier.
int retire_and_stay(const Wires& wires, WorkerHandoff& handoff) {
    const SignalFd signals{SIGQUIT, SIGTERM};
    send_report(handoff.channel.reports.get(), Report::Kind::Ready);
    send_report(handoff.channel.reports.get(), Report::Kind::Retiring);
    (void)obey(wires, handoff, signals);
    wires.pass_barrier();
    return 0;
}

TEST_F(PoolReload, while_three_times_the_pool_is_leaving_for_as_long_as_clients_like_who_retires_serves_on) {
    Master master{{.workers = 1, .runs_programs = true, .stop_timeout = 10s}, retire_and_stay};
    const auto serving = [&](std::ptrdiff_t born) {
        return master.until([&] {
            return master.noted(Note::What::Born) == born && master.pool.counts().starting == 0 &&
                   master.noted(Note::What::AskedToLeave) == 3;
        });
    };
    ASSERT_TRUE(serving(4));
    pass(master, 1s);
    EXPECT_EQ(master.pool.slots(master.now), Slots::Free) << "for a reload";
    EXPECT_EQ(master.noted(Note::What::Born), 4);
    master.wires.lift_barrier();
    ASSERT_TRUE(master.until_noted(Note::What::Born, 5)) << "one has gone, so another may leave";
    ASSERT_TRUE(master.until_noted(Note::What::AskedToLeave, 4));
    for (int each = 0; each < 5; ++each) master.wires.lift_barrier();
}

}  // namespace
}  // namespace preforkd::pool_test
