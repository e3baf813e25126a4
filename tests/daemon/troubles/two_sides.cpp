// Says `later` when its client has been silent for a moment, and then reads in one coroutine while another writes.
#include <preforkd/preforkd.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <string>

namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;

struct TwoSides : preforkd::StreamHandler {
    static preforkd::awaitable<void> pass(std::chrono::milliseconds time) {
        asio::steady_timer timer{co_await asio::this_coro::executor, time};
        co_await timer.async_wait(asio::use_awaitable);
    }

    static preforkd::awaitable<void> read(preforkd::Connection& client) {
        while (co_await client.read_some()) {}
    }

    static preforkd::awaitable<void> write(preforkd::Connection& client) {
        for (int times = 0; times < 3; ++times) {
            const auto error = co_await client.write("tick\n");
            if (error) co_return;
            co_await pass(10ms);
        }
    }

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        const auto first = co_await (client.read_some() || pass(20ms));
        if (first.index() != 1) co_return;
        const auto error = co_await client.write("later\n");
        if (!error) co_await (read(client) && write(client));
    }
};

}  // namespace

PREFORKD_HANDLER(TwoSides);
