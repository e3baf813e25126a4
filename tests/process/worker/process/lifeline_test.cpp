#include "daemon/worker/process/lifeline.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <list>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/shortage.hpp"
#include "common/channel/channel.hpp"
#include "common/process/spawn.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

using testing::comes;
using testing::end_of;
using testing::in_child;

constexpr auto patience = 10s;  // longer than a test takes

/// A worker below a master, which is the test: they share a listener.
class LifelineTest : public ::testing::Test {
protected:
    /// Starts a worker that is on its lifeline and then runs `handler`, which blocks.
    template <class Handler>
    ChildProcess start(Handler handler) {
        ChildProcess child = spawn([&]() -> int {
            channel.master = {};
            WorkerRecord record;
            Lifeline lifeline{{.record = record, .stop_timeout = patience, .channel = channel.worker.orders.get()}};
            const Lifeline::Listener on{lifeline, listener.get(), -1};
            lifeline.start();
            send_report(channel.worker.reports.get(), Report::Kind::Ready);
            return handler();
        });
        channel.worker = {};
        EXPECT_TRUE(comes(channel.master.reports.get()));
        EXPECT_TRUE(std::holds_alternative<Report>(receive_report(channel.master.reports.get())));
        listener = {};  // from here on the worker's copy is the only one
        return child;
    }

    /// The master dies; whoever is queued on the listener's last copy is reset when that goes.
    void die_and_expect_refusal() {
        const UniqueFd queued = testing::connect_to(address);
        channel.master = {};
        EXPECT_TRUE(comes(queued.get())) << "the worker kept its listener";
        EXPECT_EQ(testing::connect_error(address), ECONNREFUSED);
    }

    ChannelPair channel = open_channel();
    UniqueFd listener = testing::listen_on_loopback();
    const SocketAddress address = SocketAddress::local_of(listener.get());
};

TEST_F(LifelineTest, a_handler_that_spins_loses_its_listener_when_the_master_dies) {
    const ChildProcess child = start([] {
        for (volatile int spinning = 1; spinning != 0;) {}
        return 0;
    });
    die_and_expect_refusal();
    EXPECT_EQ(child.try_reap(), std::nullopt) << "what runs is finished, not killed";
    child.signal(SIGKILL);
    end_of(child);
}

TEST_F(LifelineTest, a_handler_that_polls_loses_its_listener_and_polls_on) {
    const testing::Pipe input = testing::make_pipe();
    const ChildProcess child = start([&] {
        pollfd watched{.fd = input.reader.get(), .events = POLLIN, .revents = 0};
        return ::poll(&watched, 1, testing::patience_ms) == 1 ? 0 : 1;  // which SA_RESTART restarts never
    });
    die_and_expect_refusal();
    ASSERT_EQ(::write(input.writer.get(), "x", 1), 1);
    EXPECT_EQ(end_of(child), testing::success) << "it was interrupted";
}

TEST_F(LifelineTest, an_order_takes_nobody_off_the_listener) {
    const testing::Pipe input = testing::make_pipe();
    const ChildProcess child = start([&] {
        char byte = 0;
        if (::read(input.reader.get(), &byte, 1) != 1) return 1;
        return ::accept(listener.get(), nullptr, nullptr) >= 0 ? 0 : 2;
    });
    const UniqueFd queued = testing::connect_to(address);
    send_order(channel.master.orders.get(), Order::LookForClients);
    ASSERT_EQ(::write(input.writer.get(), "x", 1), 1);
    EXPECT_EQ(end_of(child), testing::success);
}

/// What is so once the master of a lifeline with these listeners has died.  The channel is made in a child: the test
/// must hold no copy of its ends.
template <class Look>
std::string after_a_death(const std::vector<int>& listeners, int reactor, Look look) {
    return in_child([&] {
        ChannelPair own = open_channel();
        WorkerRecord record;
        Lifeline lifeline{{.record = record, .stop_timeout = patience, .channel = own.worker.orders.get()}};
        std::list<Lifeline::Listener> on;
        for (const int fd : listeners) on.emplace_back(lifeline, fd, reactor);
        lifeline.start();
        own.master = {};
        const auto limit = Clock::now() + patience;
        while (lifeline.left(0ms) == 0ms && Clock::now() < limit) std::this_thread::yield();
        return look(on);
    });
}

bool listens(int fd) { return ::listen(fd, 1) == 0 || errno != ENOTSOCK; }

TEST_F(LifelineTest, every_listener_goes_and_its_number_is_given_to_nobody) {
    const UniqueFd second = testing::listen_on_loopback();
    const std::vector listeners{listener.get(), second.get()};
    EXPECT_EQ(after_a_death(listeners, -1,
                            [&](auto&) {
                                std::string wrong;
                                for (const int fd : listeners) {
                                    if (listens(fd)) wrong += " still a listener";
                                    if (::fcntl(fd, F_GETFD) != FD_CLOEXEC) wrong += " left to programs";
                                }
                                const UniqueFd next{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
                                for (const int fd : listeners)
                                    if (next.get() == fd) wrong += " number taken";
                                return wrong;
                            }),
              "");
}

TEST_F(LifelineTest, a_listener_that_was_closed_is_left_alone_whatever_has_its_number) {
    EXPECT_EQ(in_child([&] {
                  ChannelPair own = open_channel();
                  WorkerRecord record;
                  Lifeline lifeline{{.record = record, .stop_timeout = patience, .channel = own.worker.orders.get()}};
                  std::optional<Lifeline::Listener> on{std::in_place, lifeline, listener.get(), -1};
                  const UniqueFd still = testing::listen_on_loopback();
                  const Lifeline::Listener still_on{lifeline, still.get(), -1};
                  lifeline.start();
                  on.reset();
                  own.master = {};
                  while (lifeline.left(0ms) == 0ms) std::this_thread::yield();
                  return std::string{listens(listener.get()) ? "a file" : "nothing"} + ", " +
                         (listens(still.get()) ? "a listener" : "nothing");
              }),
              "a file, nothing");
}

TEST_F(LifelineTest, the_listener_leaves_the_reactor_though_others_hold_it_open) {
    const UniqueFd reactor{::epoll_create1(EPOLL_CLOEXEC)};
    const UniqueFd siblings_copy{::fcntl(listener.get(), F_DUPFD_CLOEXEC, 3)};
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    check(::epoll_ctl(reactor.get(), EPOLL_CTL_ADD, listener.get(), &wanted), "epoll_ctl");
    const UniqueFd client = testing::connect_to(address);
    EXPECT_EQ(::epoll_wait(reactor.get(), &wanted, 1, 0), 1);
    EXPECT_EQ(after_a_death({listener.get()}, reactor.get(),
                            [&](auto&) { return std::to_string(::epoll_wait(reactor.get(), &wanted, 1, 0)); }),
              "0");
}

TEST_F(LifelineTest, where_no_thread_is_to_be_had_the_worker_says_so) {
    const std::string said = in_child([] {
        if (::geteuid() != 0) return std::string{"skip: needs root, to become somebody without processes"};
        constexpr uid_t nobodys = 61'234;
        const rlimit none{.rlim_cur = 1, .rlim_max = 1};
        ::setrlimit(RLIMIT_NPROC, &none);
        check(::setresuid(nobodys, nobodys, nobodys), "setresuid");
        WorkerRecord record;
        Lifeline lifeline{{.record = record}};
        try {
            lifeline.start();
        } catch (const std::system_error& error) { return with_remedy(error); }
        return std::string{"started"};
    });
    if (said.starts_with("skip: ")) GTEST_SKIP() << said.substr(6);
    EXPECT_TRUE(said.starts_with("start the thread that a worker has beside its handlers: ")) << said;
    EXPECT_NE(said.find("TasksMax="), std::string::npos) << said;
}

// --- The last deadline -----------------------------------------------------------------------------------------------

/// How a process ends whose handler never returns, after `begin(lifeline)`.
template <class Begin>
ExitReport end_after(Lifeline::Duties duties, Begin begin) {
    const ChildProcess child = spawn([&]() -> int {
        const UniqueFd quiet{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
        ::dup2(quiet.get(), STDERR_FILENO);
        testing::log_to_standard_error();
        Lifeline lifeline{duties};
        lifeline.start();
        begin(lifeline);
        for (volatile int spinning = 1; spinning != 0;) {}
        return 1;
    });
    return end_of(child);
}

TEST(LastDeadline, ends_a_process_whose_handler_never_returns) {
    WorkerRecord record;
    EXPECT_EQ(end_after({.record = record, .ends = Lifeline::Ends::Alone}, [](Lifeline& line) { line.arm(20ms); }),
              testing::success);
}

TEST(LastDeadline, is_the_earliest_that_was_armed_until_the_loop_postpones_it) {
    WorkerRecord record;
    Lifeline lifeline{{.record = record}};
    EXPECT_EQ(lifeline.left(7ms), 7ms);
    lifeline.postpone(1h);
    EXPECT_EQ(lifeline.left(7ms), 7ms) << "nothing was armed";
    lifeline.arm(0ms);
    EXPECT_EQ(lifeline.left(7ms), 7ms) << "zero is never";
    lifeline.arm(1h);
    lifeline.arm(2h);
    EXPECT_LE(lifeline.left(7ms), 1h);
    lifeline.postpone(3h);
    EXPECT_GT(lifeline.left(7ms), 2h);
}

TEST(LastDeadline, a_stop_signal_begins_it_whatever_the_handler_does) {
    WorkerRecord record;
    EXPECT_EQ(
        end_after({.record = record, .ends = Lifeline::Ends::Alone, .stop_timeout = 20ms, .takes_stop_signals = true},
                  [](Lifeline&) { ::kill(::getpid(), SIGTERM); }),
        testing::success);
}

TEST(LastDeadline, a_stop_that_the_shell_had_ignored_is_heard) {
    EXPECT_EQ(in_child([] {
                  ::signal(SIGINT, SIG_IGN);
                  WorkerRecord record;
                  Lifeline lifeline{{.record = record, .takes_stop_signals = true}};
                  ::kill(::getpid(), SIGINT);
                  return std::string{lifeline.take_stop() == Lifeline::Stop::Fast ? "heard" : "lost"};
              }),
              "heard");
}

}  // namespace
}  // namespace preforkd
