#include <algorithm>

#include "daemon/handlers/builtin.hpp"
#include "preforkd/datagram.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

namespace {

/// Lines of 72 of the 95 printing characters, each line one further, until they repeat.
std::string make_pattern() {
    constexpr int printing = 95;
    constexpr int columns = 72;
    std::string pattern;
    for (int line = 0; line < printing; ++line) {
        for (int column = 0; column < columns; ++column) pattern += static_cast<char>(' ' + (line + column) % printing);
        pattern += "\r\n";
    }
    return pattern;
}

/// RFC 864: sends its pattern until the client closes.
class Chargen final : public StreamHandler {
public:
    awaitable<void> serve(Connection& client) override {
        for (;;) {  // not `while (co_await ...)`: see StreamHandler::serve()
            const std::error_code error = co_await client.write(pattern_);
            if (error) co_return;
        }
    }

private:
    std::string pattern_ = make_pattern();
};

/// RFC 864 for datagrams: answers each with 0 to 512 characters, of which we choose the number: as many as were
/// received.  A sender's address proves nothing, and a longer answer would multiply what is aimed at somebody else.
class ChargenDatagrams final : public DatagramHandler {
public:
    void serve(Datagram& request) override {
        constexpr std::size_t longest = 512;
        (void)request.reply(std::string_view{pattern_}.substr(0, std::min(request.bytes().size(), longest)));
    }

private:
    std::string pattern_ = make_pattern();
};

}  // namespace

HandlerEntry chargen_handler() {
    return {.name = "chargen",
            .summary = "sends a pattern of characters until the client closes (RFC 864)",
            .answers_any_datagram = true,
            .make_stream = [](const HandlerOptions&) { return std::make_unique<Chargen>(); },
            .make_datagram = [](const HandlerOptions&) { return std::make_unique<ChargenDatagrams>(); }};
}

}  // namespace preforkd
