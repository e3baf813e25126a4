#include "daemon/worker/loop/linger_queue.hpp"

#include <fcntl.h>

#include <string>

#include "daemon/worker/loop/epoll_reactor.hpp"
#include "tests/process/child_report.hpp"
#include "tests/process/reactors.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::comes;
using testing::play;

struct Connected {
    UniqueFd client{};
    UniqueFd server{};
};

class LingerRings : public ::testing::Test {
protected:
    Connected connect() {
        Connected both{.client = testing::connect_to(address)};
        EXPECT_TRUE(comes(listener.get()));
        both.server = UniqueFd{::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
        EXPECT_TRUE(both.server);
        return both;
    }
    static void send(int fd, std::size_t bytes) {
        const std::string text(bytes, 'x');
        ASSERT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes));
    }
    /// Whether the server's descriptor is closed: what the client sends now is answered with a reset.
    static bool is_closed(int client) {
        (void)!::send(client, "x", 1, MSG_NOSIGNAL);
        return comes(client, 0, 1000);
    }
    /// A server's reply of 200 kB to a client that has sent what nobody reads.
    Connected reply_of_200_kb() {
        Connected both = connect();
        const int space = 1'000'000;
        ::setsockopt(both.server.get(), SOL_SOCKET, SO_SNDBUF, &space, sizeof space);
        send(both.client.get(), 1000);
        EXPECT_TRUE(comes(both.server.get()));
        const std::string reply(200'000, 'r');
        for (std::size_t sent = 0; sent < reply.size();) {
            const ssize_t n = ::send(both.server.get(), reply.data() + sent, reply.size() - sent, MSG_NOSIGNAL);
            if (n <= 0) {
                ADD_FAILURE() << "the reply does not fit into the socket";
                break;
            }
            sent += static_cast<std::size_t>(n);
        }
        return both;
    }

    EpollReactor reactor{};
    LingerQueue ring{reactor, 2};
    UniqueFd listener = testing::listen_on_loopback();
    const SocketAddress address = SocketAddress::local_of(listener.get());
};

TEST_F(LingerRings, a_long_reply_to_unread_input_arrives_whole) {
    Connected both = reply_of_200_kb();
    ring.finish(std::move(both.server), 2s);
    EXPECT_EQ(testing::read_to_end(both.client.get()).size(), 200'000u);
    EXPECT_EQ(ring.size(), 1u);
    both.client = {};
    EXPECT_TRUE(play(reactor, {{[&] { return ring.size() == 0; }}})) << "the client's end frees its place";
}

TEST_F(LingerRings, a_long_reply_to_a_lot_of_unread_input_arrives_whole_too) {
    Connected both = reply_of_200_kb();
    const std::string input(100'000, 'z');
    std::size_t sent = 0;
    while (sent < input.size()) {
        const ssize_t n = ::send(both.client.get(), input.data(), input.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0) break;
        sent += static_cast<std::size_t>(n);
    }
    ASSERT_GT(sent, 65'536u);
    ring.finish(std::move(both.server), 2s);
    EXPECT_EQ(ring.size(), 1u);
    EXPECT_EQ(testing::read_to_end(both.client.get()).size(), 200'000u);
}

TEST_F(LingerRings, with_linger_off_it_is_closed_at_once_and_the_same_reply_is_cut) {
    Connected both = reply_of_200_kb();
    ring.finish(std::move(both.server), 0s);
    EXPECT_EQ(ring.size(), 0u);
    EXPECT_LT(testing::read_to_end(both.client.get()).size(), 200'000u) << "then there is no need to linger";
}

TEST_F(LingerRings, a_client_that_has_ended_already_is_not_waited_for) {
    Connected both = connect();
    ::shutdown(both.client.get(), SHUT_WR);
    ASSERT_TRUE(comes(both.server.get(), POLLRDHUP));
    ring.finish(std::move(both.server), 2s);
    EXPECT_EQ(ring.size(), 0u);
    EXPECT_EQ(testing::read_to_end(both.client.get()), "");
}

TEST_F(LingerRings, a_client_that_has_reset_is_not_waited_for) {
    Connected both = connect();
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(both.client.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    both.client = {};
    ASSERT_TRUE(comes(both.server.get()));
    ring.finish(std::move(both.server), 2s);
    EXPECT_EQ(ring.size(), 0u);
}

TEST_F(LingerRings, a_reply_that_is_ended_already_lingers_too) {
    Connected both = reply_of_200_kb();
    ASSERT_EQ(::shutdown(both.server.get(), SHUT_WR), 0);
    ring.finish(std::move(both.server), 2s, true);
    EXPECT_EQ(ring.size(), 1u);
    EXPECT_EQ(testing::read_to_end(both.client.get()).size(), 200'000u);
}

TEST_F(LingerRings, patience_ends) {
    Connected both = connect();
    ring.finish(std::move(both.server), 100ms);
    EXPECT_EQ(ring.size(), 1u);
    EXPECT_TRUE(play(reactor, {{[&] { return ring.size() == 0; }}}));
    EXPECT_TRUE(is_closed(both.client.get()));
}

TEST_F(LingerRings, a_client_that_goes_on_sending_is_cut_off_after_64_kib) {
    Connected both = connect();
    ring.finish(std::move(both.server), 1h);
    ASSERT_EQ(ring.size(), 1u);
    ::fcntl(both.client.get(), F_SETFL, O_NONBLOCK);
    const std::string text(16'384, 'x');
    std::size_t sent = 0;
    while (ring.size() == 1 && sent < 10'000'000) {
        const ssize_t n = ::send(both.client.get(), text.data(), text.size(), MSG_NOSIGNAL);
        if (n > 0) sent += static_cast<std::size_t>(n);
        ring.glance();
    }
    EXPECT_EQ(ring.size(), 0u);
    EXPECT_GT(sent, 65'536u);
}

TEST_F(LingerRings, beyond_its_capacity_the_oldest_is_closed) {
    std::vector<Connected> all;
    for (int n = 0; n < 3; ++n) all.push_back(connect());
    for (Connected& each : all) ring.finish(std::move(each.server), 1h);
    EXPECT_EQ(ring.size(), 2u);
    EXPECT_TRUE(is_closed(all[0].client.get()));
    for (const std::size_t kept : {1u, 2u}) {
        (void)!::send(all[kept].client.get(), "x", 1, MSG_NOSIGNAL);
        ring.glance();
        EXPECT_FALSE(comes(all[kept].client.get(), 0, 0)) << kept;
    }
}

TEST_F(LingerRings, a_glance_frees_the_place_of_a_client_that_has_ended) {
    Connected both = connect();
    ring.finish(std::move(both.server), 1h);
    ring.glance();
    EXPECT_EQ(ring.size(), 1u);
    both.client = {};
    while (ring.size() == 1) ring.glance();  // the end travels within this machine
}

TEST_F(LingerRings, an_empty_ring_is_empty_at_once) {
    bool done = false;
    ring.when_empty(1h, [&] { done = true; });
    EXPECT_TRUE(done);
}

TEST_F(LingerRings, before_an_exit_the_last_client_is_waited_for) {
    Connected both = connect();
    ring.finish(std::move(both.server), 1h);
    bool done = false;
    ring.when_empty(1h, [&] { done = true; });
    EXPECT_TRUE(play(reactor, {{[&] { return !done; }, [&] { both.client = {}; }}, {[&] { return done; }}}));
    EXPECT_EQ(ring.size(), 0u);
}

TEST_F(LingerRings, before_an_exit_a_client_that_stays_is_not_waited_for_long) {
    Connected both = connect();
    ring.finish(std::move(both.server), 1h);
    bool done = false;
    const auto start = Clock::now();
    ring.when_empty(50ms, [&] { done = true; });
    EXPECT_TRUE(play(reactor, {{[&] { return done; }}}));
    EXPECT_GE(Clock::now() - start, 50ms);
}

}  // namespace
}  // namespace preforkd
