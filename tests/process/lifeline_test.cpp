#include "daemon/worker/lifeline.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <string>

#include "common/channel.hpp"
#include "common/spawn.hpp"
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
class Lifeline : public ::testing::Test {
protected:
    /// Starts a worker that watches its lifeline and then runs `handler`, which blocks.
    template <class Handler>
    ChildProcess start(Handler handler) {
        ChildProcess child = spawn([&]() -> int {
            channel.master = {};
            const std::array listeners{listener.get()};
            watch_lifeline(channel.worker.get(), -1, listeners, patience);
            send_report(channel.worker.get(), Report::Kind::Ready);
            return handler();
        });
        channel.worker = {};
        EXPECT_TRUE(comes(channel.master.get()));
        EXPECT_TRUE(std::holds_alternative<Report>(receive_report(channel.master.get())));
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

TEST_F(Lifeline, a_handler_that_spins_loses_its_listener_when_the_master_dies) {
    const ChildProcess child = start([] {
        for (volatile int spinning = 1; spinning != 0;) {}
        return 0;
    });
    die_and_expect_refusal();
    EXPECT_EQ(child.try_reap(), std::nullopt) << "what runs is finished, not killed";
    child.signal(SIGKILL);
    end_of(child);
}

TEST_F(Lifeline, a_handler_in_a_blocking_read_loses_its_listener_and_reads_on) {
    const testing::Pipe input = testing::make_pipe();
    const ChildProcess child = start([&] {
        char byte = 0;
        return ::read(input.reader.get(), &byte, 1) == 1 && byte == 'x' ? 0 : 1;
    });
    die_and_expect_refusal();
    ASSERT_EQ(::write(input.writer.get(), "x", 1), 1);
    EXPECT_EQ(end_of(child), testing::success) << "the read was interrupted";
}

TEST_F(Lifeline, an_order_takes_nobody_off_the_listener) {
    const testing::Pipe input = testing::make_pipe();
    const ChildProcess child = start([&] {
        char byte = 0;
        if (::read(input.reader.get(), &byte, 1) != 1) return 1;
        return ::accept(listener.get(), nullptr, nullptr) >= 0 ? 0 : 2;
    });
    const UniqueFd queued = testing::connect_to(address);
    send_order(channel.master.get(), Order::LookForClients);
    ASSERT_EQ(::write(input.writer.get(), "x", 1), 1);
    EXPECT_EQ(end_of(child), testing::success);
}

// In one process a signal that close() causes has run its handler when close() returns.
// The channel is made there: the test must hold no copy of its ends.

TEST_F(Lifeline, a_master_that_died_before_is_noticed_too) {
    EXPECT_EQ(in_child([&] {
                  ChannelPair own = open_channel();
                  own.master = {};
                  const std::array listeners{listener.get()};
                  watch_lifeline(own.worker.get(), -1, listeners, patience);
                  return std::to_string(::listen(listener.get(), 1) == -1 ? errno : 0);
              }),
              std::to_string(ENOTSOCK));
}

TEST_F(Lifeline, every_listener_goes_and_its_number_is_given_to_nobody) {
    EXPECT_EQ(in_child([&] {
                  ChannelPair own = open_channel();
                  const UniqueFd second = testing::listen_on_loopback();
                  const std::array listeners{listener.get(), second.get()};
                  watch_lifeline(own.worker.get(), -1, listeners, patience);
                  own.master = {};
                  std::string wrong;
                  for (const int fd : listeners)
                      if (::listen(fd, 1) != -1 || errno != ENOTSOCK) wrong += " still a listener";
                  const UniqueFd next{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
                  for (const int fd : listeners)
                      if (next.get() == fd) wrong += " number taken";
                  return wrong;
              }),
              "");
}

TEST_F(Lifeline, the_listener_leaves_the_reactor_though_others_hold_it_open) {
    EXPECT_EQ(in_child([&] {
                  ChannelPair own = open_channel();
                  const UniqueFd reactor{::epoll_create1(EPOLL_CLOEXEC)};
                  const UniqueFd siblings_copy{::fcntl(listener.get(), F_DUPFD_CLOEXEC, 3)};
                  epoll_event wanted{};
                  wanted.events = EPOLLIN;
                  check(::epoll_ctl(reactor.get(), EPOLL_CTL_ADD, listener.get(), &wanted), "epoll_ctl");
                  const std::array listeners{listener.get()};
                  watch_lifeline(own.worker.get(), reactor.get(), listeners, patience);
                  const UniqueFd client = testing::connect_to(address);
                  const int before = ::epoll_wait(reactor.get(), &wanted, 1, 0);
                  own.master = {};
                  const int after = ::epoll_wait(reactor.get(), &wanted, 1, 0);
                  return std::to_string(before) + " then " + std::to_string(after);
              }),
              "1 then 0");
}

TEST_F(Lifeline, errno_of_the_interrupted_code_is_kept) {
    EXPECT_EQ(in_child([&] {
                  ChannelPair own = open_channel();
                  const std::array listeners{listener.get()};
                  watch_lifeline(own.worker.get(), -1, listeners, patience);
                  errno = EDOM;
                  ::close(own.master.release());
                  return std::to_string(errno);
              }),
              std::to_string(EDOM));
}

}  // namespace
}  // namespace preforkd
