// The same for coroutines.
#include "announced.hpp"

struct Announced : preforkd::StreamHandler {
    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        (void)co_await client.write(told_of(client));
        while (const auto line = co_await client.read_line()) (void)co_await client.write(line.text());
    }
};
PREFORKD_HANDLER(Announced);
