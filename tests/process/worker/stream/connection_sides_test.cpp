// Two coroutines on one connection: one reads and one writes.
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <optional>
#include <string>

#include "daemon/worker/stream/connection_tls.hpp"
#include "tests/process/connection_fixture.hpp"
#include "tests/process/tls_client_side.hpp"
#include "tls/tls_fixture.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

class ConnectionSides : public testing::ConnectedClient {
protected:
    ConnectionSides() : ConnectedClient{300ms} {
        beside = [this] { give_up_late(); };
    }

    /// Has `body` run beside the handler.
    template <class Body>
    void start(Body body) {
        boost::asio::co_spawn(loop.reactor.context, std::move(body), boost::asio::detached);
    }

    /// A read that waits for as long as it may, while a write has to wait and goes on; `wrote`: when that is done.
    awaitable<void> time_out_beside_a_write(Connection& connection, bool& wrote) {
        start([&]() -> awaitable<void> {
            EXPECT_FALSE(co_await connection.write(testing::endless_text()));
            wrote = true;
        });
        const Received received = co_await connection.read_some();
        EXPECT_EQ(received.error, std::errc::timed_out);
        EXPECT_TRUE(wrote);
    }

    /// Ends the test that waits for ever.
    void give_up_late() {
        if (Clock::now() < began + 10s) return;
        ADD_FAILURE() << "somebody waits for ever";
        loop.reactor.stop();
    }

    /// Takes what has come.
    void take() {
        std::array<char, 1 << 16> space{};
        while (::recv(client.get(), space.data(), space.size(), MSG_DONTWAIT) > 0) continue;
    }

    const Clock::time_point began = Clock::now();
};

TEST_F(ConnectionSides, a_read_that_waits_still_times_out_when_a_write_has_waited_meanwhile) {
    bool wrote = false;
    beside = [&] {
        if (wrote) return give_up_late();
        take();
    };
    serve([&](Connection& connection) -> awaitable<void> { co_await time_out_beside_a_write(connection, wrote); });
    EXPECT_GE(Clock::now() - began, 300ms);
}

TEST_F(ConnectionSides, a_write_that_waits_still_times_out_when_a_read_has_waited_meanwhile) {
    bool said = false;
    beside = [&] {
        if (!std::exchange(said, true)) say("something");
        give_up_late();
    };
    serve([&](Connection& connection) -> awaitable<void> {
        bool has_read = false;
        start([&]() -> awaitable<void> {
            const Received received = co_await connection.read_some();
            EXPECT_EQ(received.text(), "something");
            has_read = true;
        });
        EXPECT_EQ(co_await connection.write(testing::endless_text()), std::errc::timed_out);
        EXPECT_TRUE(has_read);
    });
}

TEST_F(ConnectionSides, a_fast_stop_ends_a_read_that_waits_when_a_write_has_waited_meanwhile) {
    loop.idle_timeout = 0ms;
    bool wrote = false;
    beside = [&] {
        give_up_late();
        wrote ? loop.waits.cancel_all() : take();
    };
    serve([&](Connection& connection) -> awaitable<void> {
        start([&]() -> awaitable<void> {
            EXPECT_FALSE(co_await connection.write(testing::endless_text()));
            wrote = true;
        });
        EXPECT_EQ((co_await connection.read_some()).error, std::errc::operation_canceled);
    });
}

TEST_F(ConnectionSides, a_fast_stop_ends_both_that_wait) {
    loop.idle_timeout = 0ms;
    bool both_wait = false;
    beside = [&] {
        give_up_late();
        if (both_wait) loop.waits.cancel_all();
    };
    serve([&](Connection& connection) -> awaitable<void> {
        std::error_code write_error;
        bool write_ended = false;
        start([&]() -> awaitable<void> {
            write_error = co_await connection.write(testing::endless_text());
            write_ended = true;
        });
        start([&]() -> awaitable<void> {
            both_wait = true;
            co_return;
        });
        EXPECT_EQ((co_await connection.read_some()).error, std::errc::operation_canceled);
        while (!write_ended) co_await boost::asio::post(boost::asio::use_awaitable);
        EXPECT_EQ(write_error, std::errc::operation_canceled);
    });
}

/// Each has its own time from where it began.
TEST_F(ConnectionSides, a_read_that_times_out_leaves_a_write_that_began_later_its_time) {
    loop.idle_timeout = 600ms;
    serve([&](Connection& connection) -> awaitable<void> {
        std::optional<std::error_code> wrote;
        start([&]() -> awaitable<void> {
            boost::asio::steady_timer later{loop.reactor.context, 400ms};
            co_await later.async_wait(boost::asio::use_awaitable);
            const std::error_code error = co_await connection.write(testing::endless_text());
            wrote = error;
        });
        EXPECT_EQ((co_await connection.read_some()).error, std::errc::timed_out);
        EXPECT_GE(Clock::now() - began, 600ms);
        for (int turn = 0; turn < 3; ++turn) co_await boost::asio::post(boost::asio::use_awaitable);
        EXPECT_FALSE(wrote) << "it was ended with the read";
        while (!wrote) co_await boost::asio::post(boost::asio::use_awaitable);
        EXPECT_EQ(*wrote, std::errc::timed_out);
        EXPECT_GE(Clock::now() - began, 1s);
    });
}

class TlsConnectionSides : public ConnectionSides, protected testing::TlsClientSide {
protected:
    TlsConnectionSides() : TlsClientSide{client.get()} {}

    void take_decrypted() {
        std::array<std::byte, 1 << 14> space{};
        while (stream->read(space).kind == TlsResult::Kind::Done) continue;
    }
};

TEST_F(TlsConnectionSides, a_read_that_waits_still_times_out_when_a_write_has_waited_meanwhile) {
    bool shaken = false;
    bool wrote = false;
    beside = [&] {
        if (wrote) return give_up_late();
        shaken ? take_decrypted() : (void)stream->handshake();
    };
    serve([&](Connection& connection) -> awaitable<void> {
        const bool went_well = co_await begin_tls(*core, listener);
        EXPECT_TRUE(went_well);
        shaken = true;
        co_await time_out_beside_a_write(connection, wrote);
    });
}

}  // namespace
}  // namespace preforkd
