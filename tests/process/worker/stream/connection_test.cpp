#include "preforkd/connection.hpp"

#include <gtest/gtest.h>

#include <string>

#include "tests/process/child_report.hpp"
#include "tests/process/connection_fixture.hpp"
#include "tests/process/reactors.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

class Connections : public testing::ConnectedClient {
protected:
    Connections() : ConnectedClient{100ms} {}
    [[nodiscard]] bool in_reactor() { return testing::is_registered(loop.reactor.epoll_fd(), core->fd()); }
};

TEST_F(Connections, what_is_there_is_read_without_the_reactor) {
    say("hello");
    serve([&](Connection& connection) -> awaitable<void> {
        const Received received = co_await connection.read_some();
        EXPECT_TRUE(received);
        EXPECT_EQ(received.text(), "hello");
        EXPECT_FALSE(received.error);
        EXPECT_FALSE(co_await connection.write("hi"));
        EXPECT_FALSE(in_reactor());
    });
}

TEST_F(Connections, a_read_takes_no_more_than_its_limit) {
    say("hello");
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_EQ((co_await connection.read_some(2)).text(), "he");
        EXPECT_EQ((co_await connection.read_some(0)).text(), "l") << "at least one byte";
        EXPECT_EQ((co_await connection.read_some(1'000'000)).text(), "lo");
    });
}

TEST_F(Connections, what_comes_later_is_waited_for_without_a_buffer) {
    beside = [&] {
        if (record.state != WorkerState::WaitingForClient && record.state != WorkerState::Idle) return;
        EXPECT_TRUE(in_reactor());
        EXPECT_EQ(core->buffer, nullptr) << "an idle connection costs no buffer";
        say("later");
        beside = [] {};
    };
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_EQ((co_await connection.read_some()).text(), "later");
        EXPECT_EQ(record.state, WorkerState::InHandler);
        EXPECT_NE(core->buffer, nullptr);
    });
}

TEST_F(Connections, a_half_close_ends_the_input_and_not_the_reply) {
    say("question");
    end();
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_EQ((co_await connection.read_some()).text(), "question");
        for (int again = 0; again < 2; ++again) {
            const Received end = co_await connection.read_some();
            EXPECT_FALSE(end);
            EXPECT_FALSE(end.error) << "an orderly end is no error";
        }
        EXPECT_FALSE(co_await connection.write("answer"));
    });
    std::array<char, 16> answer{};
    EXPECT_EQ(::recv(client.get(), answer.data(), answer.size(), 0), 6);
}

TEST_F(Connections, a_client_that_says_nothing_times_out) {
    const auto start = Clock::now();
    serve([&](Connection& connection) -> awaitable<void> {
        const Received received = co_await connection.read_some();
        EXPECT_FALSE(received);
        EXPECT_EQ(received.error, std::errc::timed_out);
        EXPECT_EQ(core->buffer, nullptr);
        say("too late for that read, not for the next");
        EXPECT_TRUE(co_await connection.read_some());
    });
    EXPECT_GE(Clock::now() - start, 100ms);
}

TEST_F(Connections, a_client_that_takes_nothing_times_out) {
    const std::string endless(10'000'000, 'x');
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_EQ(co_await connection.write(endless), std::errc::timed_out);
    });
}

TEST_F(Connections, a_fast_stop_cancels_this_wait_and_every_later_one) {
    beside = [&] {
        loop.waits.cancel_all();
        beside = [] {};
    };
    loop.idle_timeout = 0ms;
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_EQ((co_await connection.read_some()).error, std::errc::operation_canceled);
        EXPECT_EQ((co_await connection.read_some()).error, std::errc::operation_canceled);
        EXPECT_FALSE(co_await connection.write("what does not have to wait still goes")) << "a farewell";
    });
}

TEST_F(Connections, more_than_the_socket_holds_is_written_as_the_client_takes_it) {
    std::string written(3'000'000, ' ');
    for (std::size_t n = 0; n < written.size(); ++n) written[n] = static_cast<char>('a' + n % 23);
    std::string taken;
    beside = [&] {
        std::array<char, 65'536> chunk{};
        const ssize_t size = ::recv(client.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
        if (size > 0) taken.append(chunk.data(), static_cast<std::size_t>(size));
    };
    serve([&](Connection& connection) -> awaitable<void> { EXPECT_FALSE(co_await connection.write(written)); });
    for (std::array<char, 65'536> chunk{};;) {
        const ssize_t size = ::recv(client.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
        if (size <= 0) break;
        taken.append(chunk.data(), static_cast<std::size_t>(size));
    }
    EXPECT_TRUE(taken == written);
}

TEST_F(Connections, writing_to_a_client_that_is_gone_is_an_error_and_no_signal) {
    client = {};
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_EQ(co_await connection.write("anybody?"), std::errc::broken_pipe);
    });
}

TEST_F(Connections, nothing_is_written_to_write_nothing) {
    client = {};
    serve([&](Connection& connection) -> awaitable<void> { EXPECT_FALSE(co_await connection.write("")); });
}

TEST_F(Connections, the_last_write_brings_the_end_and_the_clients_words_are_still_read) {
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_FALSE(co_await connection.write_last("bye"));
        EXPECT_TRUE(core->output_ended);
        EXPECT_EQ(testing::read_to_end(client.get()), "bye");
        say("bye");
        EXPECT_EQ((co_await connection.read_some()).text(), "bye");
        EXPECT_EQ(co_await connection.write("more"), std::errc::broken_pipe);
    });
}

TEST_F(Connections, a_half_close_of_ours_ends_the_output_alone) {
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_FALSE(connection.half_close());
        EXPECT_EQ(testing::read_to_end(client.get()), "");
        say("still here");
        EXPECT_EQ((co_await connection.read_some()).text(), "still here");
    });
}

TEST_F(Connections, an_end_that_came_with_the_last_bytes_is_seen_after_a_wait) {
    bool said = false;
    beside = [&] {
        if (!std::exchange(said, true)) say("first");
    };
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_EQ((co_await connection.read_some()).text(), "first");
        say("last");
        end();
        EXPECT_EQ((co_await connection.read_some()).text(), "last");
        const Received after = co_await connection.read_some();
        EXPECT_FALSE(after);
        EXPECT_FALSE(after.error) << after.error.message();
    });
}

TEST_F(Connections, a_reset_by_the_client_is_an_error) {
    const UniqueFd listener = testing::listen_on_loopback();
    UniqueFd peer = testing::connect_to(SocketAddress::local_of(listener.get()));
    ASSERT_TRUE(testing::comes(listener.get()));
    UniqueFd accepted{::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    peer_address = SocketAddress::peer_of(accepted.get());
    const Endpoint peers_view = SocketAddress::local_of(peer.get()).to_endpoint(SOCK_STREAM);
    const Endpoint ours = SocketAddress::local_of(listener.get()).to_endpoint(SOCK_STREAM);
    core.emplace(loop, std::move(accepted), peer_address);
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    peer = {};
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_EQ((co_await connection.read_some()).error, std::errc::connection_reset);
        EXPECT_EQ(connection.peer(), peers_view) << "known even when the client is gone";
        EXPECT_EQ(connection.local(), ours);
    });
}

TEST_F(Connections, the_descriptor_outlives_the_reactor_for_the_close) {
    beside = [&] { say("x"), beside = [] {}; };
    serve([&](Connection& connection) -> awaitable<void> { co_await connection.read_some(); });
    EXPECT_TRUE(in_reactor());
    const int number = core->fd();
    const UniqueFd released = core->release();
    EXPECT_EQ(released.get(), number);
    EXPECT_FALSE(testing::is_registered(loop.reactor.epoll_fd(), number));
    EXPECT_EQ(::send(released.get(), "y", 1, MSG_NOSIGNAL), 1);
}

}  // namespace
}  // namespace preforkd
