#include "daemon/handlers/builtin.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

namespace {

/// RFC 864: sends lines of 72 of the 95 printing characters, each line one further, until the client closes.
class Chargen final : public StreamHandler {
public:
    Chargen() {
        for (int line = 0; line < printing; ++line) {
            for (int column = 0; column < columns; ++column)
                pattern_ += static_cast<char>(' ' + (line + column) % printing);
            pattern_ += "\r\n";
        }
    }

    awaitable<void> serve(Connection& client) override {
        while (!co_await client.write(pattern_)) {}
    }

private:
    static constexpr int printing = 95;
    static constexpr int columns = 72;
    std::string pattern_{};  ///< the lines until they repeat
};

}  // namespace

HandlerEntry chargen_handler() {
    return {.name = "chargen",
            .summary = "sends a pattern of characters until the client closes (RFC 864)",
            .make_stream = [](const HandlerOptions&) { return std::make_unique<Chargen>(); }};
}

}  // namespace preforkd
