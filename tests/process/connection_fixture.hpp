#pragma once
// A Connection over a socket pair, and its client's end.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/worker/stream/connection_core.hpp"
#include "preforkd/connection.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd::testing {

/// More than any socket holds.
inline const std::string& endless_text() {
    static const std::string bytes = std::string{}.append(10'000'000, 'x');
    return bytes;
}

class ConnectedClient : public ::testing::Test {
protected:
    explicit ConnectedClient(std::chrono::milliseconds idle_timeout) : loop{record, idle_timeout, 1} {
        auto [near, far] = socket_pair(SOCK_STREAM);
        client = std::move(far);
        check(::fcntl(near.get(), F_SETFL, O_NONBLOCK), "fcntl");
        peer_address = SocketAddress::local_of(client.get());
        core.emplace(loop, std::move(near), peer_address);
    }

    /// Runs a handler to its end, and what else goes on beside it.
    template <class Handler>
    void serve(Handler handler) {
        using namespace std::chrono_literals;
        boost::asio::co_spawn(
            loop.reactor.context,
            [&]() -> awaitable<void> {
                Connection connection{*core};
                co_await handler(connection);
                done = true;
                loop.reactor.stop();
            },
            boost::asio::detached);
        const auto timer = loop.reactor.make_timer();
        const std::function<void()> tick = [&] {
            beside();
            timer->set(1ms, tick);
        };
        if (beside) timer->set(1ms, tick);
        loop.reactor.run();
        EXPECT_TRUE(done);
    }

    void say(std::string_view text) const {
        ASSERT_EQ(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    }
    void end() const { check(::shutdown(client.get(), SHUT_WR), "shutdown"); }

    WorkerRecord record{};
    Loop loop;
    UniqueFd client{};
    SocketAddress peer_address{};
    std::optional<ConnectionCore> core{};
    bool done = false;
    std::function<void()> beside{};  ///< every millisecond
};

}  // namespace preforkd::testing
