// Connects where its client says (ENDPOINT, or ENDPOINT MILLISECONDS), says `hello` there and hands on what comes back.
#include <preforkd/preforkd.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <chrono>
#include <sstream>
#include <string>
#include <system_error>

struct Connecting : preforkd::StreamHandler {
    void worker_started(preforkd::Worker& worker) override { worker_ = &worker; }

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        while (const auto line = co_await client.read_line()) {
            std::istringstream words{std::string{line.line()}};
            std::string endpoint;
            int patience_ms = 10'000;
            words >> endpoint >> patience_ms;
            std::string answer;
            try {
                answer = co_await ask(endpoint, std::chrono::milliseconds{patience_ms});
            } catch (const std::system_error& error) {
                if (error.code() == std::errc::operation_canceled) throw;
                answer = error.what();
            } catch (const std::invalid_argument& error) { answer = error.what(); }
            (void)co_await client.write(answer + '\n');
        }
    }

    preforkd::awaitable<std::string> ask(std::string endpoint, std::chrono::milliseconds patience) {
        auto socket = co_await worker_->connect(std::move(endpoint), patience);
        co_await boost::asio::async_write(socket, boost::asio::buffer("hello", 5), boost::asio::use_awaitable);
        std::array<char, 100> answer{};
        const std::size_t size =
            co_await socket.async_read_some(boost::asio::buffer(answer), boost::asio::use_awaitable);
        co_return std::string{answer.data(), size};
    }

    preforkd::Worker* worker_ = nullptr;
};
PREFORKD_HANDLER(Connecting);
