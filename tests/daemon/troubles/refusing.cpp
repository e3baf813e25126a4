// Serves nobody.
#include <preforkd/preforkd.hpp>

struct Refusing : preforkd::StreamHandler {
    bool verify(const preforkd::Endpoint&) override { return false; }
    preforkd::awaitable<void> serve(preforkd::Connection& client) override { (void)co_await client.write("served\n"); }
};
PREFORKD_HANDLER(Refusing);
