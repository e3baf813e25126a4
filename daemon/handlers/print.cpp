#include "daemon/handlers/builtin.hpp"
#include "preforkd/handler.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

/// Logs what the client sends, up to 1024 bytes a line.  The log escapes it.
class Print final : public StreamHandler {
public:
    awaitable<void> serve(Connection& client) override {
        const std::string peer = address_of(client.peer());
        while (auto chunk = co_await client.read_some(1024))
            log(LogLevel::Notice, "received", {{"peer", peer}, {"text", chunk.text()}});
    }
};

}  // namespace

HandlerEntry print_handler() {
    return {.name = "print", .summary = "logs what the client sends", .make_stream = [](const HandlerOptions&) {
                return std::make_unique<Print>();
            }};
}

}  // namespace preforkd
