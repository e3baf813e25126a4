// HTTP with Boost.Beast: connections that are kept, requests with bodies, errors that say so.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <preforkd/preforkd.hpp>
#include <preforkd/stream.hpp>

#include <string>
#include <utility>

namespace http = boost::beast::http;
constexpr auto result = boost::asio::as_tuple(boost::asio::use_awaitable);

using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;

Response text(const Request& request, http::status status, std::string body) {
    Response response{status, request.version()};
    response.set(http::field::server, "preforkd");
    response.set(http::field::content_type, "text/plain");
    response.keep_alive(request.keep_alive());
    response.body() = std::move(body);
    response.prepare_payload();
    return response;
}

class Http : public preforkd::StreamHandler {
public:
    static constexpr const char* summary = "answers GET /PATH with the path, and echoes what is posted";

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        preforkd::Stream stream{client};
        boost::beast::flat_buffer buffer;
        // A client that is silent between two requests is let go when the worker has to leave.
        for (bool goes_on = true; goes_on && (buffer.size() != 0 || co_await client.next_request());) {
            http::request_parser<http::string_body> parser;
            parser.body_limit(longest_body_bytes);
            const auto [error, size] = co_await http::async_read(stream, buffer, parser, result);
            Response response;
            if (error == http::error::body_limit)
                response = refuse(parser.get(), http::status::payload_too_large);
            else if (error && parser.got_some() &&
                     error.category() == http::make_error_code(http::error::bad_target).category())
                response = refuse(parser.get(), http::status::bad_request);
            else if (error)
                co_return;  // the client has ended its output, is late, or has gone
            else
                response = answer(parser.get());
            goes_on = response.keep_alive() && !client.draining();
            response.keep_alive(goes_on);
            const auto [failure, sent] = co_await http::async_write(stream, response, result);
            if (failure) co_return;
        }
    }

private:
    static constexpr std::size_t longest_body_bytes = std::size_t{1} << 20;

    static Response answer(const Request& request) {
        switch (request.method()) {
            case http::verb::get: return text(request, http::status::ok, std::string{request.target()} + '\n');
            case http::verb::post: return text(request, http::status::ok, request.body());
            default: return text(request, http::status::method_not_allowed, "GET or POST\n");
        }
    }

    static Response refuse(const Request& request, http::status status) {
        Response response = text(request, status, std::string{http::obsolete_reason(status)} + '\n');
        response.keep_alive(false);  // what follows is no request
        return response;
    }
};

int main(int argc, char** argv) { return preforkd::run(argc, argv, preforkd::handler<Http>("http")); }
