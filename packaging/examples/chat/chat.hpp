#pragma once
// What one client says all others hear, whichever worker serves them.
#include <preforkd/preforkd.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <deque>
#include <string>

class Chat : public preforkd::StreamHandler {
public:
    static constexpr const char* summary = "tells every client what each of them says";
    static constexpr bool uses_bus = true;

    void worker_started(preforkd::Worker& worker) override { worker_ = &worker; }

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        using namespace boost::asio::experimental::awaitable_operators;
        Inbox inbox{co_await boost::asio::this_coro::executor};
        preforkd::Bus bus{*worker_};  // ends with this client
        bus.subscribe("chat", [&](std::string_view line) { inbox.add(line); });
        bus.on_loss([&](std::uint64_t lines) { inbox.add("* " + std::to_string(lines) + " lines were lost\n"); });
        co_await (listen(client, bus) || tell(client, inbox));
    }

private:
    /// What a client has yet to be told, which wakes the coroutine that tells it.
    struct Inbox {
        explicit Inbox(const boost::asio::any_io_executor& executor)
            : news{executor, boost::asio::steady_timer::time_point::max()} {}
        void add(std::string_view line) {
            if (lines.size() == 1000) lines.pop_front();  // it does not read
            lines.emplace_back(line);
            news.cancel();
        }
        std::deque<std::string> lines{};
        boost::asio::steady_timer news;
    };

    static preforkd::awaitable<void> listen(preforkd::Connection& client, preforkd::Bus& bus) {
        for (;;) {
            const auto line = co_await client.read_line();
            if (!line) co_return;
            bus.publish("chat", std::string{line.line()} + '\n');
        }
    }

    static preforkd::awaitable<void> tell(preforkd::Connection& client, Inbox& inbox) {
        for (;;) {
            while (!inbox.lines.empty()) {
                const std::string line = std::move(inbox.lines.front());
                inbox.lines.pop_front();
                const auto error = co_await client.write(line);
                if (error) co_return;
            }
            (void)co_await inbox.news.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        }
    }

    preforkd::Worker* worker_ = nullptr;
};
