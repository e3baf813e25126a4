#pragma once
// HTTP with Boost.Beast: what is posted comes back.  The same code over each kind of stream.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <utility>

template <class Stream>
boost::asio::awaitable<void> echo_posts(Stream& stream) {
    namespace http = boost::beast::http;
    constexpr auto result = boost::asio::as_tuple(boost::asio::use_awaitable);
    boost::beast::flat_buffer buffer;
    for (;;) {
        http::request<http::string_body> request;
        const auto [error, got] = co_await http::async_read(stream, buffer, request, result);
        if (error) co_return;
        http::response<http::string_body> response{http::status::ok, request.version()};
        response.body() = std::move(request.body());
        response.prepare_payload();
        const auto [failure, sent] = co_await http::async_write(stream, response, result);
        if (failure) co_return;
    }
}
