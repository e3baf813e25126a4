#include "daemon/observe/http_session.hpp"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/observe/reply.hpp"

namespace preforkd {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

constexpr std::uint32_t longest_request_bytes = 8192;
constexpr std::chrono::seconds patience{5};

using Stream = boost::beast::basic_stream<asio::generic::stream_protocol>;
using Request = http::request<http::empty_body>;
using Response = http::response<http::string_body>;

/// Source: RFC 9110, 5.6.7
std::string date() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    std::array<char, 32> text{};
    const std::size_t length = std::strftime(text.data(), text.size(), "%a, %d %b %Y %T GMT", ::gmtime_r(&now, &parts));
    return {text.data(), length};
}

void add_headers(Response& response) {
    response.set(http::field::server, "preforkd");
    response.set(http::field::date, date());
    response.set(http::field::cache_control, "no-store");
    response.set("Content-Security-Policy",
                 "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
                 "base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    response.set("X-Content-Type-Options", "nosniff");
    response.set("Referrer-Policy", "no-referrer");
}

Response response_to(const Request& request, const Reply& reply) {
    Response response{static_cast<http::status>(reply.status), request.version()};
    add_headers(response);
    response.set(http::field::content_type, reply.type);
    response.keep_alive(request.keep_alive());
    if (request.method() == http::verb::head)
        response.content_length(reply.body.size());
    else
        response.body() = reply.body;
    if (request.method() != http::verb::head) response.prepare_payload();
    return response;
}

/// Of what is no request that we understand: after it nothing on the connection can be trusted to be one.
Response refusal(http::status status, std::string_view sentence) {
    constexpr unsigned http_1_1 = 11;
    Response response{status, http_1_1};
    add_headers(response);
    response.set(http::field::content_type, "text/plain; charset=utf-8");
    if (status == http::status::method_not_allowed) response.set(http::field::allow, "GET, HEAD");
    response.keep_alive(false);
    response.body() = std::string{sentence} + '\n';
    response.prepare_payload();
    return response;
}

std::string_view std_view(boost::beast::string_view text) { return {text.data(), text.size()}; }

HttpTarget target_of(const Request& request) {
    return read_target(std_view(request.target()), std_view(request[http::field::host]));
}

std::optional<Response> why_not(const Request& request, const OwnNames& names) {
    if (request.method() != http::verb::get && request.method() != http::verb::head)
        return refusal(http::status::method_not_allowed, "GET and HEAD alone: nothing can be ordered here");
    constexpr unsigned http_1_1 = 11;
    const auto hosts = request.count(http::field::host);
    if (hosts > 1 || (hosts == 0 && request.version() >= http_1_1))
        return refusal(http::status::bad_request, "a request names its host, once");
    if ((hosts != 0 || !target_of(request).name.empty()) && !is_own(names, target_of(request).name))
        return refusal(http::status::misdirected_request,
                       "this is no name of the endpoint: ask by its address, or as localhost");
    return std::nullopt;
}

Response why_unread(const Request& request, boost::system::error_code failed) {
    if (failed == http::error::header_limit || failed == http::error::buffer_overflow)
        return refusal(http::status::request_header_fields_too_large, "the request is longer than 8 KiB");
    if (failed != http::error::body_limit && failed != http::error::unexpected_body)
        return refusal(http::status::bad_request, "this is not HTTP");
    if (const auto refused = why_not(request, {}); refused && refused->result() == http::status::method_not_allowed)
        return *refused;
    return refusal(http::status::payload_too_large, "a request has no body");
}

asio::awaitable<Reply> answer(const Request& request, Snapshots& snapshots) {
    const Route route = route_of(target_of(request).path);
    Look look;
    if (needs_master(route))
        look.fresh = co_await snapshots.fresh();
    else if (route == Route::Health)
        snapshots.ask();
    look.last = snapshots.last();
    look.silence = snapshots.silence();
    co_return reply_to(route, std_view(request[http::field::accept]), look);
}

/// What a client has sent and nobody read would turn the close into a reset, which takes the answer away.
asio::awaitable<void> end(Stream& stream) {
    constexpr std::size_t most_bytes = std::size_t{64} * 1024;
    constexpr std::chrono::seconds last_patience{1};
    boost::system::error_code failed;
    stream.socket().shutdown(asio::socket_base::shutdown_send, failed);
    stream.expires_after(last_patience);
    std::array<char, 4096> rest;
    for (std::size_t read = 0; !failed && read < most_bytes;)
        read += co_await stream.async_read_some(asio::buffer(rest), asio::redirect_error(asio::use_awaitable, failed));
}

/// Nobody closes a stream that is not there any more.
struct Uncloseable {
    SessionState& state;
    explicit Uncloseable(SessionState& of) : state{of} {}
    Uncloseable(const Uncloseable&) = delete;
    Uncloseable& operator=(const Uncloseable&) = delete;
    ~Uncloseable() { state.close = nullptr; }
};

}  // namespace

asio::awaitable<void> serve_http(asio::generic::stream_protocol::socket socket, SessionState& state,
                                 Snapshots& snapshots, const OwnNames& names) {
    Stream stream{std::move(socket)};
    state.close = [&stream] { stream.close(); };
    const Uncloseable at_the_end{state};
    boost::beast::flat_buffer buffer{longest_request_bytes};
    while (!snapshots.ended()) {
        http::request_parser<http::empty_body> parser;
        parser.header_limit(longest_request_bytes);
        parser.body_limit(0);
        stream.expires_after(patience);
        boost::system::error_code failed;
        state.waits_since = Clock::now();
        co_await http::async_read(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, failed));
        state.waits_since.reset();
        const bool closed = failed == http::error::end_of_stream || failed == boost::beast::error::timeout ||
                            failed.category() == boost::asio::error::get_system_category();
        if (failed && closed) break;
        Response response;
        if (failed)
            response = why_unread(parser.get(), failed);
        else if (auto refused = why_not(parser.get(), names))
            response = *std::move(refused);
        else
            response = response_to(parser.get(), co_await answer(parser.get(), snapshots));
        if (state.crowded) response.keep_alive(false);
        stream.expires_after(patience);
        state.waits_since = Clock::now();
        co_await http::async_write(stream, response, asio::redirect_error(asio::use_awaitable, failed));
        if (failed || !response.keep_alive()) break;
    }
    co_await end(stream);
}

}  // namespace preforkd
