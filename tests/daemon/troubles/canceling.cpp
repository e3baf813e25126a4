// Begins each operation that its client names, has a timer be faster, and says what is still there.
#include <preforkd/preforkd.hpp>
#include <preforkd/stream.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <chrono>
#include <span>
#include <string>

namespace {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;
using asio::use_awaitable;

struct Canceling : preforkd::StreamHandler {
    void worker_started(preforkd::Worker& worker) override { worker_ = &worker; }

    static preforkd::awaitable<void> pass() {
        asio::steady_timer timer{co_await asio::this_coro::executor, 30ms};
        co_await timer.async_wait(use_awaitable);
    }

    template <class Operation>
    static preforkd::awaitable<bool> ends_later(Operation operation) {
        const auto first = co_await (std::move(operation) || pass());
        co_return first.index() == 1;
    }

    preforkd::awaitable<bool> is_slower(preforkd::Connection& client, preforkd::Stream& stream, std::string what) {
        std::array<std::byte, 20> space{};
        if (what == "read_some") co_return co_await ends_later(client.read_some());
        if (what == "read_some(span)") co_return co_await ends_later(client.read_some(std::span{space}));
        if (what == "read_exactly") co_return co_await ends_later(client.read_exactly(20));
        if (what == "peek") co_return co_await ends_later(client.peek(20));
        if (what == "read_until") co_return co_await ends_later(client.read_until("\r\n"));
        if (what == "read_line") co_return co_await ends_later(client.read_line());
        if (what == "next_request") co_return co_await ends_later(client.next_request());
        if (what == "stream") {
            co_return co_await ends_later(stream.async_read_some(asio::buffer(space), use_awaitable));
        }
        const std::string much(std::size_t{64} << 20, 'x');
        if (what == "write") co_return co_await ends_later(client.write(much));
        if (what == "write_last") co_return co_await ends_later(client.write_last(much));
        if (what == "write(parts)") co_return co_await ends_later(client.write({std::string_view{"x"}, much}));
        co_return what.starts_with("tcp:") && co_await ends_later(worker_->connect(what, 1h));
    }

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        preforkd::Stream stream{client};
        for (;;) {
            const auto line = co_await client.read_line();
            if (!line) co_return;
            const std::string what{line.line()};
            const bool slower = co_await is_slower(client, stream, what);
            const std::string answer = what + (slower ? " was canceled\n" : " was not canceled\n");
            if (const auto error = co_await client.write(answer)) {
                preforkd::log(preforkd::LogLevel::Info, "behind it: {error}", {{"error", error.message()}});
                co_return;
            }
        }
    }

    preforkd::Worker* worker_ = nullptr;
};

}  // namespace

PREFORKD_HANDLER(Canceling);
