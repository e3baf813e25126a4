// Asio's cancellation, as its awaitable_operators and whoever has a signal of his own use it.
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <string>

#include "tests/process/patient_client.hpp"

namespace preforkd {
namespace {

using namespace boost::asio::experimental::awaitable_operators;
using namespace std::chrono_literals;
using boost::asio::use_awaitable;

awaitable<void> ready_at_once() { co_return; }

class Cancellation : public testing::PatientClient {
protected:
    Cancellation() : PatientClient{10s} {}
};

TEST_F(Cancellation, a_read_ends_when_something_else_was_faster_and_the_connection_goes_on) {
    serve([&](Connection& connection) -> awaitable<void> {
        for (int times = 0; times < 3; ++times) {
            const auto faster = co_await (connection.read_some() || pass(20ms));
            EXPECT_EQ(faster.index(), 1u);
        }
        say("now");
        const auto read = co_await (connection.read_some() || pass(10s));
        EXPECT_EQ(read.index(), 0u);
        if (read.index() == 0) { EXPECT_EQ(std::get<0>(read).text(), "now"); }
        EXPECT_FALSE(co_await connection.write("still here"));
    });
}

TEST_F(Cancellation, what_came_of_a_line_is_kept_for_the_next_read) {
    serve([&](Connection& connection) -> awaitable<void> {
        say("half a ");
        const auto faster = co_await (connection.read_line() || pass(50ms));
        EXPECT_EQ(faster.index(), 1u);
        say("line\nand more");
        EXPECT_EQ((co_await connection.read_line()).line(), "half a line");
        EXPECT_EQ((co_await connection.read_some()).text(), "and more");
    });
}

/// Whoever is ready first: what a read has taken reaches its handler.
TEST_F(Cancellation, no_byte_is_lost_when_both_are_ready) {
    std::string said;
    std::string heard;
    serve([&](Connection& connection) -> awaitable<void> {
        for (int round = 0; round < 40; ++round) {
            const std::string word = std::to_string(round) + '\n';
            say(word);
            said += word;
            // Its wait may have ended and nobody know it yet.
            if (round % 2 == 1) co_await pass(1ms);
            const auto take = [&](const Received& received) { heard += received.text(); };
            switch (round / 2 % 4) {
                case 0: {
                    const auto first = co_await (ready_at_once() || connection.read_some());
                    if (first.index() == 1) take(std::get<1>(first));
                    break;
                }
                case 1: {
                    const auto first = co_await (connection.read_some() || ready_at_once());
                    if (first.index() == 0) take(std::get<0>(first));
                    break;
                }
                case 2: {
                    const auto first = co_await (pass(0ms) || connection.read_line());
                    if (first.index() == 1) take(std::get<1>(first));
                    break;
                }
                default: {
                    const auto first = co_await (connection.read_line() || pass(0ms));
                    if (first.index() == 0) take(std::get<0>(first));
                }
            }
        }
        while (heard.size() < said.size()) {
            const Received rest = co_await connection.read_some();
            if (!rest) break;
            heard += rest.text();
        }
    });
    EXPECT_EQ(heard, said);
}

TEST_F(Cancellation, a_signal_of_the_handlers_own_ends_a_read) {
    serve([&](Connection& connection) -> awaitable<void> {
        boost::asio::cancellation_signal signal;
        std::optional<Received> ended;
        boost::asio::co_spawn(loop.reactor.context, connection.read_some(),
                              boost::asio::bind_cancellation_slot(
                                  signal.slot(), [&](std::exception_ptr, Received received) { ended = received; }));
        co_await pass(10ms);
        EXPECT_FALSE(ended);
        signal.emit(boost::asio::cancellation_type::terminal);
        while (!ended) co_await boost::asio::post(use_awaitable);
        EXPECT_EQ(ended->error, std::errc::operation_canceled);
        say("next");
        EXPECT_EQ((co_await connection.read_some()).text(), "next");
    });
}

TEST_F(Cancellation, a_write_ends_too_and_nothing_is_written_behind_the_part_that_went) {
    serve([&](Connection& connection) -> awaitable<void> {
        const auto faster = co_await (connection.write(testing::endless_text()) || pass(50ms));
        EXPECT_EQ(faster.index(), 1u);
        EXPECT_EQ(co_await connection.write("more"), std::errc::operation_canceled);
        EXPECT_EQ(co_await connection.write_last("more"), std::errc::operation_canceled);
        EXPECT_EQ(connection.half_close(), std::errc::operation_canceled);
        say("heard all the same");
        EXPECT_EQ((co_await connection.read_some()).text(), "heard all the same");
    });
}

TEST_F(Cancellation, the_last_write_ends_too) {
    serve([&](Connection& connection) -> awaitable<void> {
        const auto faster = co_await (connection.write_last(testing::endless_text()) || pass(50ms));
        EXPECT_EQ(faster.index(), 1u);
        EXPECT_FALSE(core->output_ended);
    });
}

TEST_F(Cancellation, a_canceled_read_does_not_end_a_write_that_waits) {
    const std::string much(3'000'000, 'x');
    std::size_t taken = 0;
    bool takes = false;
    beside = [&] {
        give_up_late();
        std::array<char, 1 << 16> space{};
        ssize_t got = 0;
        while (takes && (got = ::recv(client.get(), space.data(), space.size(), MSG_DONTWAIT)) > 0)
            taken += static_cast<std::size_t>(got);
    };
    serve([&](Connection& connection) -> awaitable<void> {
        std::optional<std::error_code> wrote;
        boost::asio::co_spawn(
            loop.reactor.context,
            [&]() -> awaitable<void> {
                const std::error_code error = co_await connection.write(much);
                wrote = error;
            },
            boost::asio::detached);
        for (int times = 0; times < 3; ++times) (void)co_await (connection.read_some() || pass(20ms));
        EXPECT_FALSE(wrote) << "nobody has taken anything";
        takes = true;
        while (!wrote || taken < much.size()) co_await pass(1ms);
        EXPECT_FALSE(*wrote) << wrote->message();
    });
    EXPECT_EQ(taken, much.size());
}

class TlsCancellation : public testing::PatientTlsClient {};

TEST_F(TlsCancellation, a_read_ends_and_loses_nothing) {
    serve([&](Connection& connection) -> awaitable<void> {
        co_await shake_hands();
        const auto faster = co_await (connection.read_some() || pass(20ms));
        EXPECT_EQ(faster.index(), 1u);
        say_encrypted("one\ntwo\n");
        EXPECT_EQ((co_await connection.read_line()).line(), "one");
        const auto ready = co_await (ready_at_once() || connection.read_line());
        EXPECT_EQ(ready.index(), 0u);
        EXPECT_EQ((co_await connection.read_line()).line(), "two") << "which no poll(2) tells of";
    });
}

TEST_F(TlsCancellation, a_write_ends_too_and_the_stream_gets_no_end_that_would_make_it_look_whole) {
    serve([&](Connection& connection) -> awaitable<void> {
        co_await shake_hands();
        const auto faster = co_await (connection.write(testing::endless_text()) || pass(50ms));
        EXPECT_EQ(faster.index(), 1u);
        EXPECT_EQ(co_await connection.write("more"), std::errc::operation_canceled);
        EXPECT_EQ(connection.half_close(), std::errc::operation_canceled);
        EXPECT_EQ((*core->tls)->output(), TlsStream::Output::Open);
        say_encrypted("heard all the same");
        EXPECT_EQ((co_await connection.read_some()).text(), "heard all the same");
    });
}

}  // namespace
}  // namespace preforkd
