// Gives back each line, by what is written for Boost.Asio.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <preforkd/preforkd.hpp>
#include <preforkd/stream.hpp>

#include <string>

namespace asio = boost::asio;

struct Lines : preforkd::StreamHandler {
    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        preforkd::Stream stream{client};
        std::string text;
        for (;;) {
            const auto [error, size] = co_await asio::async_read_until(stream, asio::dynamic_buffer(text), '\n',
                                                                       asio::as_tuple(asio::use_awaitable));
            if (error) co_return;
            co_await asio::async_write(stream, asio::buffer(text, size), asio::use_awaitable);
            text.erase(0, size);
        }
    }
};
PREFORKD_HANDLER(Lines);
