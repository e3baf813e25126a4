// Does what the client's first line says.
#include "tls.hpp"

#include <string_view>

struct Told : preforkd::StreamHandler {
    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        const auto line = co_await client.read_line();
        std::string word{line.text()};
        if (!word.empty()) word.pop_back();
        if (word == "tell") (void)co_await client.write(told_of(client.tls()));
        if (word == "socket")
            (void)co_await client.write(refusal_of([&] { (void)preforkd::asio_socket(client).native_handle(); }));
        if (word == "echo") co_await echo(client);
        if (word == "lines")
            while (const auto next = co_await client.read_line()) (void)co_await client.write(next.text());
        if (word == "parts") {
            const auto size = co_await client.read_exactly(5);
            const std::string body(std::stoul(std::string{size.text()}), 'x');
            std::string space(3, '\0');
            (void)co_await client.read_exactly(std::as_writable_bytes(std::span{space}));
            (void)co_await client.write_last({space, body, "end"});
            co_await discard(client);
        }
        if (word == "half") {
            (void)co_await client.write("half\n");
            (void)client.half_close();
            co_await discard(client);
        }
        if (word.starts_with("last ")) {
            (void)co_await client.write_last(std::string(std::stoul(word.substr(5)), 'x'));
            co_await discard(client);
        }
    }

    static preforkd::awaitable<void> echo(preforkd::Connection& client) {
        std::uint64_t bytes = 0;
        for (;;) {
            const auto chunk = co_await client.read_some();
            if (!chunk) {
                log_end(bytes, chunk.error);
                break;
            }
            bytes += chunk.bytes.size();
            if (co_await client.write(chunk.bytes)) break;
        }
    }

    static preforkd::awaitable<void> discard(preforkd::Connection& client) {
        std::uint64_t bytes = 0;
        for (;;) {
            const auto chunk = co_await client.read_some();
            if (!chunk) {
                log_end(bytes, chunk.error);
                break;
            }
            bytes += chunk.bytes.size();
        }
    }
};
PREFORKD_HANDLER(Told);
