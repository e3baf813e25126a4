// The same for coroutines.
#include <unistd.h>
#include <preforkd/preforkd.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <fstream>
#include <string>

struct Holding : preforkd::AsyncDatagramHandler {
    preforkd::awaitable<void> serve(preforkd::Datagram& request) override {
        const std::string text{request.text()};
        if (!text.starts_with("hold ")) {
            (void)request.reply(text);
            co_return;
        }
        std::ofstream{text.substr(5) + ".held"};
        boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor};
        while (::access(text.c_str() + 5, F_OK) == 0) {
            timer.expires_after(std::chrono::milliseconds{5});
            co_await timer.async_wait(boost::asio::use_awaitable);
        }
        (void)request.reply("let go");
    }
};
PREFORKD_HANDLER(Holding);
