// A pool of two connections to where --greeting says.  Each line of a client is what it does with one of them.
#include <preforkd/preforkd.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>

namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;
using asio::use_awaitable;
using Lease = preforkd::OutboundPool::Lease;

struct Pooling : preforkd::StreamHandler {
    explicit Pooling(const preforkd::HandlerOptions& options) : where_{options.greeting} {}
    void worker_started(preforkd::Worker& worker) override {
        if (where_ == "nothing") return;
        pool_ = worker.pool(where_, where_ == "tcp://none:1" ? 0 : 2);
    }

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        for (;;) {
            const auto line = co_await client.read_line();
            if (!line) co_return;
            const std::string word{line.line()};
            std::string answer;
            try {
                answer = co_await obey(client, word);
            } catch (const std::exception& error) { answer = error.what(); }
            answer += '\n';
            const auto error = co_await client.write(answer);
            if (error) co_return;
        }
    }

    preforkd::awaitable<std::string> obey(preforkd::Connection& client, std::string word) {
        if (word == "canceled") {
            asio::steady_timer timer{co_await asio::this_coro::executor, 1ms};
            const auto first = co_await (pool_.lease() || timer.async_wait(use_awaitable));
            co_return first.index() == 0 ? "leased" : "canceled";
        }
        if (word == "wait") {
            const auto error = co_await client.write("waiting\n");
            if (error) co_return "gone";
        }
        Lease lease = co_await pool_.lease(word == "hurry" ? 300ms : 60s);
        co_await asio::async_write(*lease, asio::buffer(word + '\n'), use_awaitable);
        if (word == "drop") {
            lease.drop();
            co_return "dropped";
        }
        std::string answer;
        if (word == "more") {
            answer.resize(6);  // "3 more", and leaves the rest
            (void)co_await asio::async_read(*lease, asio::buffer(answer), use_awaitable);
            co_return answer;
        }
        const std::size_t size =
            co_await asio::async_read_until(*lease, asio::dynamic_buffer(answer), '\n', use_awaitable);
        answer.resize(size - 1);
        if (word == "throw") throw std::runtime_error{answer};
        if (word == "hold") {
            answer += '\n';
            const auto error = co_await client.write(answer);
            if (!error) (void)co_await client.read_line();
            answer = "given back";
        }
        if (word == "other") {
            Lease second = co_await pool_.lease();
            lease = std::move(second);
        }
        co_return answer;
    }

    std::string where_;
    preforkd::OutboundPool pool_;
};

}  // namespace

PREFORKD_HANDLER(Pooling);
