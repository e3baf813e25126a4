// The same for coroutines.
#include <preforkd/preforkd.hpp>

#include <cstdio>
#include <string>

struct KeepAlive : preforkd::StreamHandler {
    void worker_draining() override { std::puts("told to drain"); }
    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        while (co_await client.next_request()) {
            const auto line = co_await client.read_line();
            const std::string answer{line.line()};
            (void)co_await client.write(answer + (client.draining() ? " draining\n" : " serving\n"));
        }
    }
};
PREFORKD_HANDLER(KeepAlive);
