// Connection: lines, delimiters, deadlines of whole operations, and the Asio socket.
#include <gtest/gtest.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <string>

#include "preforkd/asio_socket.hpp"
#include "tests/process/connection_fixture.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

class Lines : public testing::ConnectedClient {
protected:
    Lines() : ConnectedClient{10s} {}
};

TEST_F(Lines, lines_come_one_by_one_however_they_were_sent) {
    say("one\r\n\ntwo\nrest");
    end();
    serve([](Connection& connection) -> awaitable<void> {
        const Received first = co_await connection.read_line();
        EXPECT_EQ(first.text(), "one\r\n");
        EXPECT_EQ(first.line(), "one");
        const Received empty = co_await connection.read_line();
        EXPECT_TRUE(empty) << "an empty line is no end";
        EXPECT_EQ(empty.line(), "");
        EXPECT_EQ((co_await connection.read_line()).line(), "two");
        EXPECT_EQ((co_await connection.read_line()).text(), "rest");
        const Received last = co_await connection.read_line();
        EXPECT_FALSE(last);
        EXPECT_FALSE(last.error);
    });
}

TEST_F(Lines, a_line_in_pieces_is_put_together) {
    say("he");
    const auto timer = loop.reactor.make_timer();
    timer->set(1ms, [&] { say("llo\nnext"); });
    serve([](Connection& connection) -> awaitable<void> {
        EXPECT_EQ((co_await connection.read_line()).line(), "hello");
        EXPECT_EQ((co_await connection.read_some(2)).text(), "ne") << "what was read beyond the line is not lost";
        EXPECT_EQ((co_await connection.read_some()).text(), "xt");
    });
}

TEST_F(Lines, a_delimiter_may_have_several_bytes_and_come_in_two_pieces) {
    say("head\r\n\r");
    const auto timer = loop.reactor.make_timer();
    timer->set(1ms, [&] { say("\nbody"); });
    serve([](Connection& connection) -> awaitable<void> {
        EXPECT_EQ((co_await connection.read_until("\r\n\r\n")).text(), "head\r\n\r\n");
        EXPECT_EQ((co_await connection.read_some()).text(), "body");
    });
}

TEST_F(Lines, a_line_longer_than_the_limit_is_an_error_and_not_a_line) {
    say("0123456789\n");
    serve([](Connection& connection) -> awaitable<void> {
        const Received received = co_await connection.read_line(10);
        EXPECT_FALSE(received);
        EXPECT_EQ(received.error, std::errc::message_size);
    });
}

TEST_F(Lines, a_line_as_long_as_the_limit_is_a_line) {
    say("012345678\n");
    serve([](Connection& connection) -> awaitable<void> {
        EXPECT_EQ((co_await connection.read_line(10)).line(), "012345678");
    });
}

TEST_F(Lines, a_client_that_dribbles_does_not_outlast_the_deadline_of_the_operation) {
    const auto timer = loop.reactor.make_timer();
    const std::function<void()> dribble = [&] {
        if (done) return;
        say(".");
        timer->set(5ms, dribble);
    };
    timer->set(1ms, dribble);
    serve([](Connection& connection) -> awaitable<void> {
        connection.timeout(50ms);
        const Received received = co_await connection.read_line();
        EXPECT_FALSE(received);
        EXPECT_EQ(received.error, std::errc::timed_out);
    });
}

TEST_F(Lines, the_asio_socket_is_the_connection) {
    serve([&](Connection& connection) -> awaitable<void> {
        const std::string text = "through Asio";
        const std::size_t sent = co_await boost::asio::async_write(asio_socket(connection), boost::asio::buffer(text),
                                                                   boost::asio::use_awaitable);
        EXPECT_EQ(sent, text.size());
    });
    std::string got(64, 0);
    got.resize(static_cast<std::size_t>(::recv(client.get(), got.data(), got.size(), 0)));
    EXPECT_EQ(got, "through Asio");
}

}  // namespace
}  // namespace preforkd
