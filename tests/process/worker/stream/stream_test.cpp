#include "preforkd/stream.hpp"

#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "tests/process/patient_client.hpp"

namespace preforkd {
namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;
using asio::use_awaitable;
constexpr auto as_result = asio::as_tuple(use_awaitable);

awaitable<void> expect_next(Stream& stream, std::string_view expected) {
    std::string text(8, '\0');
    const std::size_t size = co_await stream.async_read_some(asio::buffer(text), use_awaitable);
    EXPECT_EQ(text.substr(0, size), expected);
}

class Streams : public testing::PatientClient {
protected:
    Streams() : PatientClient{200ms} {}

    /// What has come to the client.
    [[nodiscard]] std::string heard() const {
        std::string text(1 << 16, '\0');
        const ssize_t got = ::recv(client.get(), text.data(), text.size(), MSG_DONTWAIT);
        text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        return text;
    }
};

TEST_F(Streams, what_is_written_for_asio_reads_and_writes_the_connection) {
    say("first line\nrest");
    serve([&](Connection& connection) -> awaitable<void> {
        Stream stream{connection};
        std::string text;
        const std::size_t size =
            co_await asio::async_read_until(stream, asio::dynamic_buffer(text), '\n', use_awaitable);
        EXPECT_EQ(text.substr(0, size), "first line\n");
        const std::string head = "two ";
        const std::string body = "buffers";
        const std::array<asio::const_buffer, 3> both{asio::buffer(head), asio::const_buffer{}, asio::buffer(body)};
        EXPECT_EQ(co_await asio::async_write(stream, both, use_awaitable), 11u);
        EXPECT_EQ(heard(), "two buffers");
    });
    EXPECT_EQ(record.traffic.received.load(), 15u);
    EXPECT_EQ(record.traffic.sent.load(), 11u);
}

TEST_F(Streams, what_comes_later_is_waited_for_and_the_worker_says_so) {
    beside = [&] {
        if (record.state != WorkerState::Idle) return give_up_late();  // none is counted as open here
        say("later");
        beside = [this] { give_up_late(); };
    };
    serve([&](Connection& connection) -> awaitable<void> {
        loop.in_handler();
        Stream stream{connection};
        std::array<char, 5> text{};
        EXPECT_EQ(co_await asio::async_read(stream, asio::buffer(text), use_awaitable), 5u);
        EXPECT_EQ(record.state, WorkerState::InHandler);
        EXPECT_EQ((std::string_view{text.data(), text.size()}), "later");
    });
}

TEST_F(Streams, what_the_connection_has_read_and_nobody_taken_comes_first) {
    say("line\nmore");
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_EQ((co_await connection.read_line()).line(), "line");
        Stream stream{connection};
        std::string text(4, '\0');
        EXPECT_EQ(co_await stream.async_read_some(asio::buffer(text.data(), 1), use_awaitable), 1u);
        EXPECT_EQ(co_await stream.async_read_some(asio::buffer(text.data() + 1, 3), use_awaitable), 3u);
        EXPECT_EQ(text, "more");
        say("again");
        EXPECT_EQ((co_await connection.read_some()).text(), "again");
    });
}

TEST_F(Streams, the_clients_end_is_eof_and_writing_goes_on) {
    end();
    serve([&](Connection& connection) -> awaitable<void> {
        Stream stream{connection};
        std::array<char, 8> space{};
        const auto [error, size] = co_await stream.async_read_some(asio::buffer(space), as_result);
        EXPECT_EQ(error, asio::error::eof);
        EXPECT_EQ(size, 0u);
        const auto [again, nothing] = co_await stream.async_read_some(asio::buffer(space), as_result);
        EXPECT_EQ(again, asio::error::eof);
        EXPECT_FALSE(co_await connection.read_some());
        EXPECT_EQ(co_await asio::async_write(stream, asio::buffer("bye", 3), use_awaitable), 3u);
        EXPECT_EQ(heard(), "bye");
    });
}

TEST_F(Streams, a_client_that_is_silent_is_given_up_after_the_idle_timeout) {
    serve([&](Connection& connection) -> awaitable<void> {
        Stream stream{connection};
        std::array<char, 8> space{};
        const auto [error, size] = co_await stream.async_read_some(asio::buffer(space), as_result);
        EXPECT_EQ(error, asio::error::timed_out);
    });
    EXPECT_GE(Clock::now() - began, 200ms);
    EXPECT_TRUE(core->timed_out());
}

TEST_F(Streams, one_that_takes_nothing_is_given_up_too_while_a_read_goes_on) {
    std::optional<std::string> read;
    serve([&](Connection& connection) -> awaitable<void> {
        loop.idle_timeout = 10s;
        Stream stream{connection};
        std::array<char, 8> space{};
        stream.async_read_some(asio::buffer(space), [&](const boost::system::error_code& error, std::size_t size) {
            EXPECT_FALSE(error) << error.message();
            read.emplace(space.data(), size);
        });
        co_await pass(1ms);
        loop.idle_timeout = 200ms;
        const auto [error, size] = co_await asio::async_write(stream, asio::buffer(testing::endless_text()), as_result);
        EXPECT_EQ(error, asio::error::timed_out);
        co_await pass(1ms);
        EXPECT_FALSE(read) << "its own time is not up";
        say("here");
        while (!read) co_await pass(1ms);
        EXPECT_EQ(*read, "here");
    });
}

TEST_F(Streams, a_stop_ends_what_waits_and_whatever_comes_after) {
    loop.idle_timeout = 0ms;
    bool waits = false;
    beside = [&] { waits ? loop.waits.cancel_all() : give_up_late(); };
    serve([&](Connection& connection) -> awaitable<void> {
        Stream stream{connection};
        std::array<char, 8> space{};
        waits = true;
        for (int times = 0; times < 2; ++times) {
            const auto [error, size] = co_await stream.async_read_some(asio::buffer(space), as_result);
            EXPECT_EQ(error, asio::error::operation_aborted);
        }
    });
    EXPECT_TRUE(core->was_canceled());
}

TEST_F(Streams, a_canceled_read_takes_nothing) {
    serve([&](Connection& connection) -> awaitable<void> {
        Stream stream{connection};
        for (int times = 0; times < 3; ++times) {
            std::string text(8, '\0');
            const auto faster = co_await (stream.async_read_some(asio::buffer(text), use_awaitable) || pass(10ms));
            EXPECT_EQ(faster.index(), 1u);
        }
        say("kept");
        co_await expect_next(stream, "kept");
    });
}

TEST_F(Streams, a_read_that_is_canceled_when_something_has_come_leaves_that_to_the_next) {
    asio::cancellation_signal signal;
    serve([&](Connection& connection) -> awaitable<void> {
        Stream stream{connection};
        std::string text(8, '\0');
        std::optional<boost::system::error_code> ended;
        stream.async_read_some(asio::buffer(text),
                               asio::bind_cancellation_slot(signal.slot(), [&](const boost::system::error_code& error,
                                                                               std::size_t) { ended = error; }));
        say("kept");
        signal.emit(asio::cancellation_type::terminal);
        while (!ended) co_await asio::post(use_awaitable);
        EXPECT_EQ(*ended, asio::error::operation_aborted);
        co_await expect_next(stream, "kept");
    });
    EXPECT_EQ(record.traffic.received.load(), 4u);
}

TEST_F(Streams, behind_a_canceled_write_nothing_is_written) {
    serve([&](Connection& connection) -> awaitable<void> {
        Stream stream{connection};
        const auto faster =
            co_await (asio::async_write(stream, asio::buffer(testing::endless_text()), use_awaitable) || pass(50ms));
        EXPECT_EQ(faster.index(), 1u);
        const auto [error, size] = co_await stream.async_write_some(asio::buffer("more", 4), as_result);
        EXPECT_EQ(error, asio::error::operation_aborted);
        EXPECT_EQ(co_await connection.write("more"), std::errc::operation_canceled);
    });
}

TEST_F(Streams, a_websocket_whose_time_is_up_ends_what_waits) {
    loop.idle_timeout = 0ms;
    serve([&](Connection& connection) -> awaitable<void> {
        Stream stream{connection};
        std::array<char, 8> space{};
        std::optional<boost::system::error_code> ended;
        stream.async_read_some(asio::buffer(space),
                               [&](const boost::system::error_code& error, std::size_t) { ended = error; });
        co_await pass(1ms);
        EXPECT_FALSE(ended);
        beast_close_socket(stream);
        while (!ended) co_await pass(1ms);
        EXPECT_EQ(*ended, asio::error::eof);
        const auto [error, size] = co_await stream.async_write_some(asio::buffer("more", 4), as_result);
        EXPECT_EQ(error, asio::error::operation_aborted);
    });
}

/// The slot of who is served by a later operation, too.
TEST_F(Streams, a_signal_that_is_sent_too_late_cancels_nothing) {
    asio::cancellation_signal signal;
    serve([&](Connection& connection) -> awaitable<void> {
        say("early");
        Stream stream{connection};
        std::string text(8, '\0');
        std::optional<std::size_t> size;
        stream.async_read_some(
            asio::buffer(text),
            asio::bind_cancellation_slot(signal.slot(), [&](const boost::system::error_code& error, std::size_t bytes) {
                EXPECT_FALSE(error);
                size = bytes;
            }));
        EXPECT_FALSE(size) << "nothing completes before the function that starts it has returned";
        while (!size) co_await asio::post(use_awaitable);
        EXPECT_EQ(text.substr(0, *size), "early");
    });
    core.reset();
    signal.emit(asio::cancellation_type::terminal);
}

TEST_F(Streams, a_buffer_without_bytes_is_read_and_written_at_once) {
    serve([&](Connection& connection) -> awaitable<void> {
        Stream stream{connection};
        EXPECT_EQ(co_await stream.async_read_some(asio::mutable_buffer{}, use_awaitable), 0u);
        EXPECT_EQ(co_await stream.async_write_some(asio::const_buffer{}, use_awaitable), 0u);
    });
}

class TlsStreams : public testing::PatientTlsClient {
protected:
    /// A record's.
    [[nodiscard]] std::string heard_encrypted() {
        std::string text(1 << 16, '\0');
        const TlsResult got = stream->read(std::as_writable_bytes(std::span{text}));
        text.resize(got.bytes);
        return text;
    }
};

TEST_F(TlsStreams, it_reads_and_writes_what_tls_has_encrypted_several_buffers_in_one_record) {
    serve([&](Connection& connection) -> awaitable<void> {
        co_await shake_hands();
        Stream secret{connection};
        say_encrypted("question");
        std::string text;
        EXPECT_EQ(
            co_await asio::async_read(secret, asio::dynamic_buffer(text), asio::transfer_exactly(8), use_awaitable),
            8u);
        EXPECT_EQ(text, "question");
        const std::array<asio::const_buffer, 2> both{asio::buffer("head ", 5), asio::buffer("body", 4)};
        EXPECT_EQ(co_await asio::async_write(secret, both, use_awaitable), 9u);
        EXPECT_EQ(heard_encrypted(), "head body");
        const auto faster = co_await (secret.async_read_some(asio::buffer(text), use_awaitable) || pass(10ms));
        EXPECT_EQ(faster.index(), 1u);
        say_encrypted("again");
        co_await expect_next(secret, "again");
    });
}

TEST_F(TlsStreams, more_than_a_socket_holds_arrives_whole) {
    const std::string much(3'000'000, 'y');
    std::size_t taken = 0;
    beside = [&] {
        give_up_late();
        if (!shaken) return (void)stream->handshake();
        for (std::string text = heard_encrypted(); !text.empty(); text = heard_encrypted()) taken += text.size();
    };
    serve([&](Connection& connection) -> awaitable<void> {
        co_await shake_hands();
        Stream secret{connection};
        const std::array<asio::const_buffer, 2> both{asio::buffer(much, 100), asio::buffer(much)};
        EXPECT_EQ(co_await asio::async_write(secret, both, use_awaitable), much.size() + 100);
        while (taken < much.size() + 100) co_await pass(1ms);
    });
    EXPECT_EQ(taken, much.size() + 100);
}

}  // namespace
}  // namespace preforkd
