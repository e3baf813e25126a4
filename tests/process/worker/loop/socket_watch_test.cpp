#include "daemon/worker/loop/socket_watch.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

#include "daemon/worker/loop/asio_reactor.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using Side = SocketWatch::Side;

/// Waits for one side of a socket, and then does something.
struct Waiter : SocketWaiter {
    explicit Waiter(std::function<void()> what = {})
        : SocketWaiter{[](SocketWaiter& self, bool goes_on) {
              auto& waiter = static_cast<Waiter&>(self);
              ++(goes_on ? waiter.ends : waiter.destroyed);
              if (goes_on && waiter.then) waiter.then();
          }},
          then{std::move(what)} {}

    std::function<void()> then;
    int ends = 0;
    int destroyed = 0;
};

class SocketWatchTest : public ::testing::Test {
protected:
    SocketWatchTest() {
        auto [one, other] = testing::socket_pair(SOCK_STREAM);
        near = std::move(one);
        far = std::move(other);
        watch = reactor.sockets().watch(near.get());
    }

    void say(std::string_view text) const {
        ASSERT_EQ(::send(far.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    }

    /// What has come to the loop by now, to its end: how many events there were.
    std::size_t turn() { return reactor.context.poll(); }

    /// What the kernel is asked for; nothing: it is not asked.  Source: proc(5), /proc/pid/fdinfo.
    [[nodiscard]] std::optional<std::uint32_t> asked_for() {
        std::ifstream info{"/proc/self/fdinfo/" + std::to_string(reactor.epoll_fd())};
        for (std::string line; std::getline(info, line);) {
            std::istringstream words{line};
            std::string word;
            int fd = -1;
            std::uint32_t events = 0;
            if (words >> word >> fd >> word >> std::hex >> events && fd == near.get()) return events;
        }
        return std::nullopt;
    }

    AsioReactor reactor{};
    UniqueFd near{};
    UniqueFd far{};
    SocketWatches::Handle watch{};
};

TEST_F(SocketWatchTest, a_wait_ends_once_there_is_input_and_leaves_the_registration_as_it_was) {
    Waiter reader;
    watch->wait(Side::Reading, SocketEvent::Input, reader);
    EXPECT_EQ(asked_for(), EPOLLIN | EPOLLERR | EPOLLHUP);
    turn();
    EXPECT_EQ(reader.ends, 0);
    say("a");
    turn();
    EXPECT_EQ(reader.ends, 1);
    watch->wait(Side::Reading, SocketEvent::Input, reader);  // it has not been read
    turn();
    EXPECT_EQ(reader.ends, 2);
}

TEST_F(SocketWatchTest, what_nobody_waits_for_does_not_keep_the_loop_awake_and_is_not_forgotten) {
    Waiter reader;
    watch->wait(Side::Reading, SocketEvent::Input, reader);
    say("a");
    turn();
    while (turn() != 0) {}
    EXPECT_EQ(asked_for(), EPOLLET | EPOLLERR | EPOLLHUP);
    say("b");
    EXPECT_EQ(turn(), 0u);
    watch->wait(Side::Reading, SocketEvent::Input, reader);
    turn();
    EXPECT_EQ(reader.ends, 2);
}

TEST_F(SocketWatchTest, a_connection_that_breaks_while_nobody_waits_does_not_keep_the_loop_awake_either) {
    Waiter reader;
    watch->wait(Side::Reading, SocketEvent::Input, reader);
    say("a");
    turn();
    far = {};
    int turns = 0;
    while (turn() != 0) ASSERT_LT(++turns, 10);
    watch->wait(Side::Reading, SocketEvent::Input, reader);
    turn();
    EXPECT_EQ(reader.ends, 2);
}

TEST_F(SocketWatchTest, who_reads_on_and_on_does_not_keep_who_writes_waiting) {
    int reads = 0;
    Waiter reader{[&] {
        if (++reads < 100) watch->wait(Side::Reading, SocketEvent::Input, reader);
    }};
    Waiter writer{[&] { EXPECT_LE(reads, 1); }};
    say("never read");
    watch->wait(Side::Reading, SocketEvent::Input, reader);
    watch->wait(Side::Writing, SocketEvent::Output, writer);
    while (reads < 100) turn();
    EXPECT_EQ(writer.ends, 1);
}

TEST_F(SocketWatchTest, one_side_is_ended_soon_and_not_at_once_and_the_other_waits_on) {
    Waiter reader;
    Waiter other;
    watch->wait(Side::Reading, SocketEvent::Input, reader);
    watch->wait(Side::Writing, SocketEvent::Input, other);
    watch->end(Side::Reading);
    EXPECT_EQ(reader.ends, 0);
    turn();
    EXPECT_EQ(reader.ends, 1);
    EXPECT_EQ(other.ends, 0);
    say("a");
    turn();
    EXPECT_EQ(other.ends, 1);
}

TEST_F(SocketWatchTest, whoever_is_given_back_hears_nothing_of_an_event_that_was_on_its_way) {
    auto [second_near, second_far] = testing::socket_pair(SOCK_STREAM);
    SocketWatches::Handle second = reactor.sockets().watch(second_near.get());
    Waiter reader{[&] { second.reset(); }};
    Waiter other{[&] { watch.reset(); }};
    say("a");
    ASSERT_EQ(::send(second_far.get(), "b", 1, MSG_NOSIGNAL), 1);
    watch->wait(Side::Reading, SocketEvent::Input, reader);
    second->wait(Side::Reading, SocketEvent::Input, other);
    turn();
    EXPECT_EQ(reader.ends + other.ends, 1) << "whoever was first gave the other back";
}

TEST_F(SocketWatchTest, the_next_socket_does_not_hear_it_either) {
    auto [second_near, second_far] = testing::socket_pair(SOCK_STREAM);
    auto [third_near, third_far] = testing::socket_pair(SOCK_STREAM);
    SocketWatches::Handle second = reactor.sockets().watch(second_near.get());
    SocketWatches::Handle third;
    Waiter silent;
    const auto replace = [&](SocketWatches::Handle& gone) {
        gone.reset();
        third = reactor.sockets().watch(third_near.get());
        third->wait(Side::Reading, SocketEvent::Input, silent);
    };
    Waiter reader{[&] { replace(second); }};
    Waiter other{[&] { replace(watch); }};
    say("a");
    ASSERT_EQ(::send(second_far.get(), "b", 1, MSG_NOSIGNAL), 1);
    watch->wait(Side::Reading, SocketEvent::Input, reader);
    second->wait(Side::Reading, SocketEvent::Input, other);
    while (turn() != 0) {}
    EXPECT_EQ(reader.ends + other.ends, 1);
    EXPECT_EQ(silent.ends, 0) << "nobody has sent it anything";
    ASSERT_EQ(::send(third_far.get(), "c", 1, MSG_NOSIGNAL), 1);
    turn();
    EXPECT_EQ(silent.ends, 1);
}

TEST_F(SocketWatchTest, what_still_waits_when_the_loop_ends_is_destroyed) {
    Waiter reader;
    Waiter ending;
    watch->wait(Side::Reading, SocketEvent::Input, reader);
    watch->wait(Side::Writing, SocketEvent::Input, ending);
    watch->end(Side::Writing);
    reactor.context.end();
    EXPECT_EQ(reader.destroyed, 1);
    EXPECT_EQ(ending.destroyed, 1);
    EXPECT_EQ(reader.ends + ending.ends, 0);
}

TEST_F(SocketWatchTest, what_still_waits_when_it_is_given_back_is_destroyed) {
    Waiter reader;
    watch->wait(Side::Reading, SocketEvent::Input, reader);
    watch.reset();
    turn();
    EXPECT_EQ(reader.destroyed, 1);
    EXPECT_EQ(reader.ends, 0);
}

TEST_F(SocketWatchTest, who_cannot_be_waited_for_is_told_before_it_waits) {
    const UniqueFd file{::open("/dev/null", O_RDONLY | O_CLOEXEC)};  // epoll(7) takes no device of this kind
    const SocketWatches::Handle refused = reactor.sockets().watch(file.get());
    EXPECT_THROW(refused->enter(SocketEvent::Input), std::system_error);
    watch->enter(SocketEvent::Output);
    EXPECT_EQ(asked_for(), EPOLLOUT | EPOLLERR | EPOLLHUP);
}

TEST_F(SocketWatchTest, a_place_is_used_again) {
    const SocketWatch* const before = watch.get();
    watch.reset();
    EXPECT_EQ(asked_for(), std::nullopt);
    watch = reactor.sockets().watch(near.get());
    EXPECT_EQ(watch.get(), before);
}

}  // namespace
}  // namespace preforkd
