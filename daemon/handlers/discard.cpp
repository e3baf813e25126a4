#include "daemon/handlers/builtin.hpp"
#include "preforkd/datagram.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

namespace {

/// RFC 863: throws away whatever it receives, until the client stops sending.
class Discard final : public StreamHandler {
public:
    awaitable<void> serve(Connection& client) override {
        while (co_await client.read_some()) {}
    }
};

/// The same for datagrams.
class DiscardDatagrams final : public DatagramHandler {
public:
    void serve(Datagram&) override {}
};

}  // namespace

HandlerEntry discard_handler() {
    return {.name = "discard",
            .summary = "throws away what it receives (RFC 863)",
            .make_stream = [](const HandlerOptions&) { return std::make_unique<Discard>(); },
            .make_datagram = [](const HandlerOptions&) { return std::make_unique<DiscardDatagrams>(); }};
}

}  // namespace preforkd
