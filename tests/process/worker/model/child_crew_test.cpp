#include "daemon/worker/model/child_crew.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "common/log/log_output.hpp"
#include "common/process/spawn.hpp"
#include "daemon/worker/loop/epoll_reactor.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

constexpr ExitReport reaped_by_somebody_else{ExitReport::Kind::Unknown, 0};

/// What became of the jobs of a test.
struct Outcome {
    std::vector<ExitReport> reports{};
    int ended = 0;
    int launches = 0;
};

class TestJob final : public ChildJob {
public:
    using Body = std::function<ChildProcess()>;

    TestJob(Body body, Outcome& outcome, std::function<void()> then) : body_{std::move(body)}, outcome_{outcome} {
        ended = [&outcome, then = std::move(then)] {
            ++outcome.ended;
            then();
        };
    }
    ChildProcess launch() override {
        ++outcome_.launches;
        return body_();
    }
    void report(const ChildEnd& end) override { outcome_.reports.push_back(end.report); }
    [[nodiscard]] bool client_is_in_use(pid_t) const override { return in_use; }
    [[nodiscard]] bool end_can_wait() const noexcept override { return can_wait; }

    bool in_use = false;
    bool can_wait = false;

private:
    Body body_;
    Outcome& outcome_;
};

class ChildCrewTest : public ::testing::Test {
protected:
    void SetUp() override {
        ::sigprocmask(SIG_BLOCK, nullptr, &mask_);
        open_log({.file = "/dev/null"});
    }
    void TearDown() override {
        open_log({});
        ::sigprocmask(SIG_SETMASK, &mask_, nullptr);
    }

    /// The loop ends when this many jobs have ended.
    std::unique_ptr<TestJob> job(TestJob::Body body, int last = 1) {
        return std::make_unique<TestJob>(std::move(body), outcome, [this, last] {
            if (outcome.ended == last) reactor.stop();
        });
    }
    /// The same for one whose client has heard of the end: nobody waits for its child to be reaped.
    std::unique_ptr<TestJob> patient(TestJob::Body body, int last = 1) {
        auto made = job(std::move(body), last);
        made->can_wait = true;
        return made;
    }
    static TestJob::Body exits_with(int code) {
        return [code] { return spawn([code] { return code; }, ChildProcess::Handle::Later); };
    }
    /// Returns when the child has ended; nobody has reaped it.
    static TestJob::Body has_ended() {
        return [] {
            ChildProcess child = spawn([] { return 0; });
            EXPECT_TRUE(testing::comes(child.pidfd()));
            return ChildProcess{child.pid(), ChildProcess::Handle::Later};
        };
    }
    static TestJob::Body waits_for_ever() {
        return [] {
            return spawn([]() -> int {
                for (;;) ::pause();
            });
        };
    }
    static TestJob::Body fails_with(int error) {
        return [error]() -> ChildProcess {
            errno = error;
            throw_errno("launch");
        };
    }

    static ChildCrew::Rules rules(std::chrono::milliseconds request_timeout = {}) {
        return {.limit = 40, .parked = 4, .request_timeout = request_timeout};
    }

    EpollReactor reactor{};
    WorkerRecord record{};
    Outcome outcome{};

private:
    sigset_t mask_{};
};

TEST_F(ChildCrewTest, each_child_is_reaped_and_reported_with_its_own_end) {
    ChildCrew crew{reactor, record, rules()};
    for (const int code : {0, 3, 3, 7}) crew.start(job(exits_with(code), 4));
    reactor.run();
    EXPECT_EQ(crew.size(), 0U);
    EXPECT_EQ(outcome.reports.size(), 4U);
    EXPECT_EQ(std::ranges::count(outcome.reports, testing::exited(3)), 2);
}

TEST_F(ChildCrewTest, a_child_whose_end_can_wait_is_reaped_with_the_next_client) {
    ChildCrew crew{reactor, record, rules()};
    crew.start(patient(has_ended(), 0));
    EXPECT_EQ(outcome.ended, 0);
    crew.start(patient(has_ended(), 0));
    crew.awake();
    EXPECT_EQ(outcome.ended, 1);
    EXPECT_EQ(crew.size(), 1U);
}

TEST_F(ChildCrewTest, it_is_reaped_though_no_client_follows) {
    ChildCrew crew{reactor, record, rules()};
    crew.start(patient(exits_with(5)));
    reactor.run();
    EXPECT_EQ(outcome.reports, std::vector{testing::exited(5)});
}

TEST_F(ChildCrewTest, a_child_that_has_outlived_its_youth_is_reaped_as_soon_as_it_ends) {
    ChildCrew crew{reactor, record, rules()};
    testing::Pipe orders = testing::make_pipe();
    crew.start(patient([&] {
        return spawn(
            [&] {
                orders.writer = {};
                char byte = 0;
                return static_cast<int>(::read(orders.reader.get(), &byte, 1));
            },
            ChildProcess::Handle::Later);
    }));
    const auto later = reactor.make_timer();
    later->set(100ms, [&] { orders.writer = {}; });
    reactor.run();
    EXPECT_EQ(outcome.reports, std::vector{testing::success});
}

TEST_F(ChildCrewTest, at_the_limit_only_children_that_are_still_there_count) {
    ChildCrew crew{reactor, record, {.limit = 2, .parked = 4}};
    crew.start(patient(has_ended(), 0));
    EXPECT_EQ(crew.size(), 1U);
    const Acceptor::Take take = crew.bounded([&](int) {
        EXPECT_EQ(crew.size(), 0U);
        return 0;
    });
    EXPECT_EQ(take(0), 0);
    crew.start(patient(waits_for_ever(), 0));
    crew.start(patient(has_ended(), 0));
    EXPECT_EQ(crew.size(), 1U) << "the limit was reached, where an end is waited for";
    crew.hurry();
}

TEST_F(ChildCrewTest, one_that_cannot_be_watched_is_looked_after_all_the_same) {
    ChildCrew crew{reactor, record, rules()};
    auto serving = job(exits_with(0));
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit tight = before;
    tight.rlim_cur = static_cast<rlim_t>(UniqueFd{::dup(STDERR_FILENO)}.get());
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
    crew.start(std::move(serving));
    reactor.run();
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(outcome.reports, std::vector{testing::success});
}

TEST_F(ChildCrewTest, a_child_of_somebody_else_is_not_stolen_and_hides_none_of_ours) {
    const ChildProcess foreign = spawn([] { return 42; });
    ASSERT_TRUE(testing::comes(foreign.pidfd()));  // a zombie before any of ours
    ChildCrew crew{reactor, record, rules()};
    crew.start(job(exits_with(0), 2));
    crew.start(job(exits_with(1), 2));
    reactor.run();
    EXPECT_EQ(outcome.reports.size(), 2U);
    EXPECT_EQ(foreign.try_reap(), testing::exited(42));
}

TEST_F(ChildCrewTest, an_orphan_is_reaped_where_nobody_else_has_children) {
    const ChildProcess orphan = spawn([] { return 0; });
    ASSERT_TRUE(testing::comes(orphan.pidfd()));
    ChildCrew crew{reactor, record, {.limit = 40, .parked = 4, .strangers = ChildCrew::Strangers::Reap}};
    crew.start(job(exits_with(0)));
    reactor.run();
    EXPECT_EQ(orphan.try_reap(), reaped_by_somebody_else);
}

TEST_F(ChildCrewTest, a_child_that_somebody_else_has_reaped_has_ended) {
    ChildCrew crew{reactor, record, rules()};
    crew.start(job(exits_with(0), 2));
    auto known_by_number = job([] { return spawn([] { return 0; }, ChildProcess::Handle::Later); }, 2);
    known_by_number->can_wait = true;
    crew.start(std::move(known_by_number));
    while (::waitpid(-1, nullptr, 0) > 0) continue;  // as an embedding program may
    reactor.run();
    EXPECT_EQ(outcome.reports, (std::vector{reaped_by_somebody_else, reaped_by_somebody_else}));
}

TEST_F(ChildCrewTest, the_worker_is_not_in_the_handler_while_its_child_is) {
    ChildCrew crew{reactor, record, rules()};
    enter(record, WorkerState::InHandler);  // what Acceptor::begun() has written
    crew.start(job(waits_for_ever()));
    EXPECT_EQ(record.state.load(), WorkerState::WaitingForClient);
    crew.hurry();
    reactor.run();
}

TEST_F(ChildCrewTest, hurrying_ends_children_by_sigterm) {
    ChildCrew crew{reactor, record, rules()};
    crew.start(job(waits_for_ever()));
    crew.hurry();
    reactor.run();
    EXPECT_EQ(outcome.reports, std::vector{testing::killed(SIGTERM)});
}

TEST_F(ChildCrewTest, a_child_that_takes_too_long_is_asked_to_end_and_the_others_are_not) {
    ChildCrew crew{reactor, record, rules(20ms)};
    crew.start(job(exits_with(0), 3));
    crew.start(job(waits_for_ever(), 3));
    crew.start(job(waits_for_ever(), 3));
    reactor.run();
    EXPECT_EQ(std::ranges::count(outcome.reports, testing::killed(SIGTERM)), 2);
    EXPECT_EQ(std::ranges::count(outcome.reports, testing::exited(0)), 1);
}

TEST_F(ChildCrewTest, a_child_that_takes_too_long_and_ignores_sigterm_is_killed) {
    ChildCrew crew{reactor, record, rules(20ms)};
    ::signal(SIGTERM, SIG_IGN);  // the child inherits it
    crew.start(job(waits_for_ever()));
    ::signal(SIGTERM, SIG_DFL);
    reactor.run();
    EXPECT_EQ(outcome.reports, std::vector{testing::killed(SIGKILL)});
}

TEST_F(ChildCrewTest, who_ignores_sigterm_is_killed_before_the_worker_would_be) {
    ChildCrew crew{reactor, record, rules()};
    testing::Pipe pipe = testing::make_pipe();
    crew.start(job([&] {
        return spawn([&]() -> int {
            ::signal(SIGTERM, SIG_IGN);
            (void)!::write(pipe.writer.get(), "x", 1);
            for (;;) ::pause();
        });
    }));
    ASSERT_TRUE(testing::comes(pipe.reader.get()));
    const auto before = Clock::now();
    crew.hurry();
    reactor.run();
    EXPECT_EQ(outcome.reports, std::vector{testing::killed(SIGKILL)});
    EXPECT_LT(Clock::now() - before, 2s);
}

TEST_F(ChildCrewTest, a_client_without_a_process_is_kept_and_nobody_else_taken) {
    ChildCrew crew{reactor, record, rules()};
    bool short_of_processes = true;
    int taken = 0;
    const Acceptor::Take take = crew.bounded([&](int) {
        ++taken;
        return 0;
    });
    EXPECT_EQ(take(0), 0);
    crew.start(job([&]() -> ChildProcess {
        if (short_of_processes) return fails_with(EAGAIN)();
        return exits_with(0)();
    }));
    EXPECT_EQ(take(0), Acceptor::not_now);
    EXPECT_EQ(taken, 1);
    EXPECT_EQ(outcome.ended, 0);
    short_of_processes = false;
    reactor.run();  // tries again by itself
    EXPECT_EQ(outcome.launches, 2);
    EXPECT_EQ(outcome.reports, std::vector{testing::success});
    EXPECT_EQ(take(0), 0);
}

TEST_F(ChildCrewTest, a_shortage_is_said_once_and_is_over_when_a_client_has_not_had_to_wait) {
    const testing::TemporaryDirectory directory;
    const std::string log = directory / "log";
    const auto lines_with = [&](const std::function<void(ChildCrew&)>& between) {
        return testing::in_child([&] {  // children, and the log, are left to their end
            open_log({.format = LogFormat::Text, .file = log});
            ChildCrew crew{reactor, record, rules()};
            crew.start(job([&] { return outcome.launches == 1 ? fails_with(EAGAIN)() : exits_with(0)(); }));
            reactor.run();  // it has waited, and is served
            between(crew);
            crew.start(job(fails_with(EAGAIN)));
            std::ifstream lines{log};
            return std::to_string(std::count(std::istreambuf_iterator<char>{lines}, {}, '\n'));
        });
    };
    EXPECT_EQ(lines_with([](ChildCrew&) {}), "1");
    std::filesystem::remove(log);
    EXPECT_EQ(lines_with([&](ChildCrew& crew) { crew.start(job(exits_with(0))); }), "2");
}

TEST_F(ChildCrewTest, a_client_that_can_never_be_served_ends_at_once) {
    ChildCrew crew{reactor, record, rules()};
    crew.start(job(fails_with(ENOEXEC)));
    EXPECT_EQ(outcome.ended, 1);
    EXPECT_EQ(outcome.launches, 1);
}

TEST_F(ChildCrewTest, hurrying_lets_go_of_clients_that_still_wait_for_a_process) {
    ChildCrew crew{reactor, record, rules()};
    crew.start(job(fails_with(EAGAIN)));
    crew.hurry();
    EXPECT_EQ(outcome.ended, 1);
}

TEST_F(ChildCrewTest, the_client_hears_the_end_when_its_child_is_gone_and_not_before) {
    auto [ours, theirs] = testing::socket_pair(SOCK_STREAM);
    ChildCrew crew{reactor, record, rules()};
    auto serving = job(waits_for_ever());
    serving->client = std::move(ours);
    serving->linger = 2s;
    crew.start(std::move(serving));
    EXPECT_FALSE(testing::is_readable(theirs.get()));
    crew.hurry();
    reactor.run();
    EXPECT_TRUE(testing::is_readable(theirs.get()));
}

TEST_F(ChildCrewTest, without_a_lingering_close_the_client_hears_of_the_end_from_the_child) {
    auto [ours, theirs] = testing::socket_pair(SOCK_STREAM);
    ChildCrew crew{reactor, record, rules()};
    auto serving = patient(has_ended(), 0);
    serving->client = std::move(ours);
    crew.start(std::move(serving));
    EXPECT_TRUE(testing::is_readable(theirs.get()));
    EXPECT_EQ(crew.size(), 1U) << "which nobody has reaped yet";
}

TEST_F(ChildCrewTest, a_connection_that_others_still_use_is_not_cut) {
    auto [ours, theirs] = testing::socket_pair(SOCK_STREAM);
    const UniqueFd others{::dup(ours.get())};
    ChildCrew crew{reactor, record, rules()};
    auto serving = job(exits_with(0));
    serving->client = std::move(ours);
    serving->linger = 2s;
    serving->in_use = true;
    crew.start(std::move(serving));
    reactor.run();
    EXPECT_FALSE(testing::is_readable(theirs.get()));
}

}  // namespace
}  // namespace preforkd
