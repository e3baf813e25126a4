#include "daemon/handlers/builtin.hpp"
#include "preforkd/datagram.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

namespace {

/// RFC 862: sends back whatever it receives, until the client stops sending.
class Echo final : public StreamHandler {
public:
    awaitable<void> serve(Connection& client) override {
        while (auto chunk = co_await client.read_some())
            if (co_await client.write(chunk.bytes)) co_return;
    }
};

/// The same for a datagram, also an empty one.
class EchoDatagrams final : public DatagramHandler {
public:
    void serve(Datagram& request) override { (void)request.reply(request.bytes()); }
};

}  // namespace

HandlerEntry echo_handler() {
    return {.name = "echo",
            .summary = "sends back what it receives (RFC 862)",
            .answers_any_datagram = true,
            .make_stream = [](const HandlerOptions&) { return std::make_unique<Echo>(); },
            .make_datagram = [](const HandlerOptions&) { return std::make_unique<EchoDatagrams>(); }};
}

}  // namespace preforkd
