// Two handlers in one program: `kinds --handler count`, or `--listen 'udp://:7 handler=upper'` beside others.
#include <preforkd/preforkd.hpp>

#include <cctype>
#include <string>

namespace {

std::string upper(std::string_view text) {
    std::string result{text};
    for (char& c : result) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return result;
}

/// One class for both: streams with coroutines, many at once in one thread, and datagrams.
class Upper : public preforkd::StreamHandler, public preforkd::DatagramHandler {
public:
    static constexpr const char* summary = "sends back what it receives in capitals";

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        while (const auto chunk = co_await client.read_some()) {
            const std::error_code error = co_await client.write(upper(chunk.text()));
            if (error) co_return;
        }
    }

    void serve(preforkd::Datagram& request) override { (void)request.reply(upper(request.text())); }
};

/// Blocks, so it is served one client after the other, or --model thread or fork.
class Count : public preforkd::BlockingHandler {
public:
    static constexpr const char* summary = "counts lines";

    void serve(preforkd::BlockingConnection& client) override {
        int lines = 0;
        for (std::string line; getline(client.stream(), line);) client.output() << ++lines << '\n';
    }
};

}  // namespace

int main(int argc, char** argv) {
    return preforkd::run(argc, argv, {preforkd::handler<Upper>("upper"), preforkd::handler<Count>("count")});
}
