// Waiting for the next request, which a drain ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <thread>
#include <utility>

#include "preforkd/blocking_connection.hpp"
#include "preforkd/handler.hpp"
#include "tests/process/connection_fixture.hpp"
#include "tests/process/here.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

class NextRequest : public testing::ConnectedClient {
protected:
    NextRequest() : ConnectedClient{30s} {}
};

TEST_F(NextRequest, has_come_when_there_is_something_to_read_and_leaves_it_there) {
    say("hello\nwor");
    serve([](Connection& connection) -> awaitable<void> {
        EXPECT_TRUE(co_await connection.next_request());
        EXPECT_TRUE(co_await connection.next_request()) << "it has taken nothing";
        EXPECT_EQ((co_await connection.read_line()).text(), "hello\n");
        EXPECT_TRUE(co_await connection.next_request()) << "of what was left over";
        EXPECT_EQ((co_await connection.read_some()).text(), "wor");
    });
}

TEST_F(NextRequest, is_waited_for) {
    bool asked = false;
    beside = [&] {
        if (std::exchange(asked, false)) say("late");
    };
    serve([&](Connection& connection) -> awaitable<void> {
        asked = true;
        EXPECT_TRUE(co_await connection.next_request());
        EXPECT_EQ((co_await connection.read_some()).text(), "late");
    });
}

TEST_F(NextRequest, does_not_come_where_the_stream_has_ended) {
    end();
    serve([](Connection& connection) -> awaitable<void> { EXPECT_FALSE(co_await connection.next_request()); });
    EXPECT_FALSE(core->timed_out());
}

TEST_F(NextRequest, is_not_waited_for_longer_than_the_idle_timeout) {
    loop.idle_timeout = 20ms;
    serve([](Connection& connection) -> awaitable<void> { EXPECT_FALSE(co_await connection.next_request()); });
    EXPECT_TRUE(core->timed_out());
}

TEST_F(NextRequest, is_not_waited_for_once_a_drain_begins) {
    bool waits = false;
    beside = [&] {
        if (std::exchange(waits, false)) loop.drain();
    };
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_FALSE(connection.draining());
        waits = true;
        EXPECT_FALSE(co_await connection.next_request());
        EXPECT_TRUE(connection.draining());
        EXPECT_FALSE(co_await connection.next_request()) << "nor from now on";
    });
    EXPECT_FALSE(core->timed_out());
    EXPECT_FALSE(core->was_canceled()) << "its end is an orderly one";
}

TEST_F(NextRequest, that_came_before_a_drain_is_seen) {
    loop.drain();
    say("in time");
    serve([](Connection& connection) -> awaitable<void> {
        EXPECT_TRUE(co_await connection.next_request());
        EXPECT_EQ((co_await connection.read_some()).text(), "in time");
        EXPECT_FALSE(co_await connection.next_request());
    });
}

TEST_F(NextRequest, that_has_begun_is_read_to_its_end_while_it_drains) {
    say("half");
    bool begun = false;
    beside = [&] {
        if (!std::exchange(begun, false)) return;
        loop.drain();
        say("-way\n");
    };
    serve([&](Connection& connection) -> awaitable<void> {
        EXPECT_TRUE(co_await connection.next_request());
        begun = true;
        EXPECT_EQ((co_await connection.read_line()).text(), "half-way\n");
    });
}

TEST_F(NextRequest, is_not_waited_for_in_a_fast_stop) {
    beside = [&] { loop.waits.cancel_all(); };
    serve([](Connection& connection) -> awaitable<void> { EXPECT_FALSE(co_await connection.next_request()); });
    EXPECT_TRUE(core->was_canceled());
}

// --- In a thread, or a child, for one client ---

class Asking final : public BlockingHandler {
public:
    void serve(BlockingConnection& client) override {
        while (client.next_request()) {
            std::string line;
            getline(client.stream(), line);
            client.output() << line << (client.draining() ? " draining\n" : " serving\n");
        }
        error = client.last_error();
    }
    std::error_code error{};
};

class AskingCoroutine final : public StreamHandler {
public:
    awaitable<void> serve(Connection& client) override {
        while (co_await client.next_request()) {
            const auto line = co_await client.read_line();
            const std::string answer{line.line()};
            (void)co_await client.write(answer + (client.draining() ? " draining\n" : " serving\n"));
        }
    }
};

class NextRequestHere : public ::testing::Test {
protected:
    std::string serve(AnyStreamHandler handler) {
        ServedStream served = serve_here(
            handler, client.stream(), {.idle_timeout = 30s, .line_max_bytes = 1000, .stop = whistle, .record = record});
        outcome = served.outcome;
        served.fd = UniqueFd{};
        return client.read_rest();
    }

    /// Has a client ask, and then sends what is left of the last request; or none.
    std::string ask_and_drain(AnyStreamHandler handler, std::string_view first, std::string_view rest) {
        client.send(first);
        std::thread other{[&] {
            testing::wait_for(record, WorkerState::WaitingForClient);
            whistle.drain();
            client.send(rest);
        }};
        std::string answer = serve(handler);
        other.join();
        return answer;
    }

    testing::Client client{};
    testing::Whistle whistle{};
    WorkerRecord record{};
    Asking blocking{};
    AskingCoroutine coroutine{};
    ConnectionOutcome outcome{};
};

TEST_F(NextRequestHere, ends_at_a_drain_for_a_client_that_is_idle) {
    EXPECT_EQ(ask_and_drain(&blocking, "one\ntwo\n", ""), "one serving\ntwo serving\n");
    EXPECT_EQ(outcome, ConnectionOutcome::Ok);
    EXPECT_FALSE(blocking.error);
}

TEST_F(NextRequestHere, ends_at_a_drain_for_a_coroutine_whose_client_is_idle) {
    EXPECT_EQ(ask_and_drain(&coroutine, "one\ntwo\n", ""), "one serving\ntwo serving\n");
    EXPECT_EQ(outcome, ConnectionOutcome::Ok);
}

TEST_F(NextRequestHere, goes_on_with_a_request_that_has_begun) {
    EXPECT_EQ(ask_and_drain(&blocking, "ha", "lf\n"), "half draining\n");
}

TEST_F(NextRequestHere, goes_on_with_a_coroutines_request_that_has_begun) {
    EXPECT_EQ(ask_and_drain(&coroutine, "ha", "lf\n"), "half draining\n");
}

TEST_F(NextRequestHere, ends_with_the_clients_output) {
    client.send("one\n");
    client.half_close();
    EXPECT_EQ(serve(&blocking), "one serving\n");
}

}  // namespace
}  // namespace preforkd
