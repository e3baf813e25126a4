#include <algorithm>

#include "daemon/handlers/builtin.hpp"
#include "preforkd/datagram.hpp"
#include "preforkd/handler.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

constexpr std::size_t piece_bytes = 1024;

/// Logs what the client sends, up to 1024 bytes a line.  The log escapes it.
class Print final : public StreamHandler {
public:
    awaitable<void> serve(Connection& client) override {
        const std::string peer = address_of(client.peer());
        while (auto chunk = co_await client.read_some(piece_bytes))
            log(LogLevel::Notice, "received from {peer}: {text}", {{"peer", peer}, {"text", chunk.text()}});
    }
};

/// The same for datagrams.
class PrintDatagrams final : public DatagramHandler {
public:
    void serve(Datagram& request) override {
        const std::string peer = address_of(request.peer());
        std::string_view rest = request.text();
        do {  // an empty datagram is one too
            log(LogLevel::Notice, "received from {peer}: {text}",
                {{"peer", peer}, {"text", rest.substr(0, piece_bytes)}});
            rest.remove_prefix(std::min(rest.size(), piece_bytes));
        } while (!rest.empty());
    }
};

}  // namespace

HandlerEntry print_handler() {
    return {.name = "print",
            .summary = "logs what the client sends",
            .make_stream = [](const HandlerOptions&) { return std::make_unique<Print>(); },
            .make_datagram = [](const HandlerOptions&) { return std::make_unique<PrintDatagrams>(); }};
}

}  // namespace preforkd
