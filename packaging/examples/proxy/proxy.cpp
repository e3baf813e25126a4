// A proxy as browsers and curl use one for TLS: `CONNECT HOST:PORT`, and then bytes in both directions.
// What only passes its clients on needs no program: preforkd --handler forward.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <preforkd/preforkd.hpp>
#include <preforkd/stream.hpp>

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
constexpr auto result = asio::as_tuple(asio::use_awaitable);

class Proxy : public preforkd::StreamHandler {
    using Target = asio::generic::stream_protocol::socket;

public:
    static constexpr const char* summary = "CONNECT HOST:PORT";

    void worker_started(preforkd::Worker& worker) override { worker_ = &worker; }

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        const auto head = co_await client.read_until("\r\n\r\n");
        const std::string destination = destination_of(head.text());
        if (destination.empty()) {
            (void)co_await client.write("HTTP/1.1 405 Method Not Allowed\r\nAllow: CONNECT\r\n\r\n");
            co_return;
        }
        std::optional<Target> target = co_await connect(destination);
        if (!target) {
            (void)co_await client.write("HTTP/1.1 502 Bad Gateway\r\n\r\n");
            co_return;
        }
        if (co_await client.write("HTTP/1.1 200 Connection established\r\n\r\n")) co_return;
        preforkd::Stream stream{client};
        boost::system::error_code ignored;
        const auto end_target = [&](bool whole) {
            // A client that has gone, or was told to go, leaves nothing to wait for.
            whole ? target->shutdown(Target::shutdown_send, ignored) : target->close(ignored);
        };
        const auto end_client = [&](bool) { (void)client.half_close(); };
        co_await (pass(stream, *target, end_target) && pass(*target, stream, end_client));
    }

private:
    /// HOST:PORT; empty: it is no such request.
    static std::string destination_of(std::string_view head) {
        constexpr std::string_view connect = "CONNECT ";
        if (!head.starts_with(connect)) return {};
        head.remove_prefix(connect.size());
        return std::string{head.substr(0, head.find(' '))};
    }

    preforkd::awaitable<std::optional<Target>> connect(std::string destination) {
        try {
            co_return co_await worker_->connect("tcp://" + destination);
        } catch (const std::exception& error) {
            preforkd::log(preforkd::LogLevel::Notice, "{cause}", {{"cause", error.what()}});
        }
        co_return std::nullopt;
    }

    /// What `from` says goes to `to`, until it has said all, or one of the two has broken.
    template <class From, class To, class End>
    static preforkd::awaitable<void> pass(From& from, To& to, End end) {
        std::array<char, 16384> space;
        for (;;) {
            const auto [error, size] = co_await from.async_read_some(asio::buffer(space), result);
            if (error) co_return end(error == asio::error::eof);
            const auto [failure, sent] = co_await asio::async_write(to, asio::buffer(space, size), result);
            if (failure) co_return end(false);
        }
    }

    preforkd::Worker* worker_ = nullptr;
};

int main(int argc, char** argv) { return preforkd::run(argc, argv, preforkd::handler<Proxy>("proxy")); }
