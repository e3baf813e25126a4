// The same for coroutines: one that never lets go of the thread, and one that waits for something other than its
// client.
#include <preforkd/preforkd.hpp>

#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <stdexcept>
#include <string>

void spin_for_ever() {
    for (volatile int turns = 0;;) turns = turns + 1;
}

struct Trouble : preforkd::StreamHandler {
    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        while (const auto line = co_await client.read_line()) {
            const std::string word{line.text().substr(0, line.text().find('\n'))};
            (void)co_await client.write(word + ' ' + std::to_string(::getpid()) + '\n');
            if (word == "spin") spin_for_ever();
            if (word == "throw") throw std::runtime_error{"as told"};
            if (word == "throw 7") throw 7;
            if (word != "wait") continue;
            const auto executor = co_await boost::asio::this_coro::executor;
            boost::asio::steady_timer timer{executor, std::chrono::seconds{4}};
            co_await timer.async_wait(boost::asio::use_awaitable);
            (void)co_await client.write("waited\n");
        }
    }
};
PREFORKD_HANDLER(Trouble);
