// Websockets with Boost.Beast: each message comes back in capitals.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket.hpp>
#include <preforkd/preforkd.hpp>
#include <preforkd/stream.hpp>

#include <algorithm>
#include <cctype>

namespace websocket = boost::beast::websocket;
constexpr auto result = boost::asio::as_tuple(boost::asio::use_awaitable);

class Capitals : public preforkd::StreamHandler {
public:
    static constexpr const char* summary = "sends back each message in capitals";

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        websocket::stream<preforkd::Stream> socket{client};
        socket.read_message_max(longest_message_bytes);
        const auto [refused] = co_await socket.async_accept(result);
        boost::beast::flat_buffer message;
        while (!refused) {
            const auto [error, size] = co_await socket.async_read(message, result);
            if (error) co_return;  // closed; also by us, where it was too long
            const auto text = message.data();
            auto* const letters = static_cast<char*>(text.data());
            std::transform(letters, letters + text.size(), letters,
                           [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
            socket.binary(socket.got_binary());
            const auto [failure, sent] = co_await socket.async_write(text, result);
            if (failure) co_return;
            message.consume(message.size());
        }
    }

private:
    static constexpr std::size_t longest_message_bytes = std::size_t{1} << 20;
};

int main(int argc, char** argv) { return preforkd::run(argc, argv, preforkd::handler<Capitals>("capitals")); }
