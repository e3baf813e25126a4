#include "daemon/handlers/builtin.hpp"
#include "preforkd/datagram.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

namespace {

/// Says its greeting and closes: what the classic example of a pre-fork server does.
class Greet final : public StreamHandler {
public:
    explicit Greet(const std::string& greeting) : line_{greeting + '\n'} {}

    awaitable<void> serve(Connection& client) override { (void)co_await client.write_last(line_); }

private:
    std::string line_;
};

/// Answers every datagram with its greeting.
class GreetDatagrams final : public DatagramHandler {
public:
    explicit GreetDatagrams(const std::string& greeting) : line_{greeting + '\n'} {}

    void serve(Datagram& request) override { (void)request.reply(line_); }

private:
    std::string line_;
};

}  // namespace

HandlerEntry greet_handler() {
    return {.name = "greet",
            .summary = "says `connected` (--greeting) and closes",
            .answers_any_datagram = true,
            .make_stream = [](const HandlerOptions& options) { return std::make_unique<Greet>(options.greeting); },
            .make_datagram =
                [](const HandlerOptions& options) { return std::make_unique<GreetDatagrams>(options.greeting); }};
}

}  // namespace preforkd
