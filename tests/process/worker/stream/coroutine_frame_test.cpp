// Coroutines without a local variable that have co_await in a condition: what GCC 12 miscompiles.
#include "preforkd/coroutine_frame.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>

#include "tests/process/child_report.hpp"
#include "tests/process/connection_fixture.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

class CoroutineFrames : public testing::ConnectedClient {
protected:
    CoroutineFrames() : ConnectedClient{10s} {}

    [[nodiscard]] std::string written() {
        core.reset();
        return testing::read_to_end(client.get());
    }
};

awaitable<void> drain(Connection& client) {
    while (co_await client.read_some()) {}
}

awaitable<void> drain_at_least_once(Connection& client) {
    do std::this_thread::yield();
    while (co_await client.read_some());
}

awaitable<void> write_twice(Connection& client) {
    if (co_await client.write("one ")) co_return;
    if (co_await client.write("two")) co_return;
}

awaitable<std::size_t> size_of_next(Connection& client) { co_return (co_await client.read_some()).bytes.size(); }

awaitable<void> choose(Connection& client) {
    switch (co_await size_of_next(client)) {
        case 3: (void)co_await client.write("three"); break;
        default: (void)co_await client.write("another");
    }
}

awaitable<void> refuse(Connection& client) {
    while (co_await client.read_some()) throw std::runtime_error{"unwanted"};
}

TEST_F(CoroutineFrames, a_loop_on_what_is_read_ends_with_the_input) {
    say("some");
    beside = [&] {
        say("more");
        end();
        beside = [] {};
    };
    serve([](Connection& connection) -> awaitable<void> {
        co_await drain(connection);
        const Received nothing = co_await connection.read_some();
        EXPECT_FALSE(nothing);
    });
}

TEST_F(CoroutineFrames, so_does_one_whose_condition_comes_last) {
    say("some");
    beside = [&] { end(), beside = [] {}; };
    serve([](Connection& connection) -> awaitable<void> { co_await drain_at_least_once(connection); });
}

TEST_F(CoroutineFrames, several_conditions_hold) {
    serve([](Connection& connection) -> awaitable<void> { co_await write_twice(connection); });
    EXPECT_EQ(written(), "one two");
}

TEST_F(CoroutineFrames, a_switch_chooses) {
    say("abc");
    serve([](Connection& connection) -> awaitable<void> { co_await choose(connection); });
    EXPECT_EQ(written(), "three");
}

TEST_F(CoroutineFrames, what_one_throws_reaches_its_caller) {
    say("abc");
    serve([](Connection& connection) -> awaitable<void> {
        std::string caught;
        try {
            co_await refuse(connection);
        } catch (const std::runtime_error& error) { caught = error.what(); }
        EXPECT_EQ(caught, "unwanted");
    });
}

TEST_F(CoroutineFrames, one_that_never_began_and_one_that_waits_can_be_destroyed) {
    serve([this](Connection& connection) -> awaitable<void> {
        { const awaitable<void> not_begun = drain(connection); }
        boost::asio::co_spawn(loop.reactor.context, drain(connection), boost::asio::detached);
        say("for another");
        EXPECT_FALSE(co_await connection.write("x"));
    });
}

}  // namespace
}  // namespace preforkd
