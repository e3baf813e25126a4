// Reads once in one coroutine, while another writes more than its client takes.
#include <preforkd/preforkd.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <string>

namespace {

using namespace boost::asio::experimental::awaitable_operators;

struct WritingMuch : preforkd::StreamHandler {
    static preforkd::awaitable<void> read(preforkd::Connection& client) {
        const auto chunk = co_await client.read_some();
        preforkd::log(preforkd::LogLevel::Info, "the reader has ended: {text}", {{"text", chunk.text()}});
    }

    static preforkd::awaitable<void> write(preforkd::Connection& client) {
        const std::string much(std::size_t{64} << 20, 'x');
        const auto error = co_await client.write(much);
        preforkd::log(preforkd::LogLevel::Info, "the writer has ended: {error}", {{"error", error.message()}});
    }

    preforkd::awaitable<void> serve(preforkd::Connection& client) override { co_await (read(client) && write(client)); }
};

}  // namespace

PREFORKD_HANDLER(WritingMuch);
