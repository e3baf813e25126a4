// Allows one model, and says why.
#include <preforkd/preforkd.hpp>

#include <string_view>

struct OnlyAsync : preforkd::StreamHandler {
    static constexpr auto models = {Model::Async};
    static constexpr std::string_view why_models = "what it stores is\nin one thread";
    preforkd::awaitable<void> serve(preforkd::Connection& client) override { (void)co_await client.write("served\n"); }
};
PREFORKD_HANDLER(OnlyAsync);
