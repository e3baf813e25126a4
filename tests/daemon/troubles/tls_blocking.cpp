// The same, blocking.
#include "tls.hpp"

struct Told : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override {
        std::string word;
        while (const auto letter = client.read_some(1)) {
            if (letter.text() == "\n") break;
            word += letter.text();
        }
        if (word == "tell") client.output() << told_of(client.tls());
        if (word == "socket") client.output() << refusal_of([&] { (void)client.fd(); });
        if (word == "echo") read(client, [&](const auto& chunk) { return !client.write(chunk.bytes); });
        if (word == "lines")
            for (std::string line; getline(client.stream(), line);) client.stream() << line << '\n';
        if (word == "parts") {
            const std::string body(std::stoul(std::string{client.read_exactly(5).text()}), 'x');
            std::string space(3, '\0');
            (void)client.read_exactly(std::as_writable_bytes(std::span{space}));
            (void)client.write_last({space, body, "end"});
            read(client, [](const auto&) { return true; });
        }
        if (word == "half") {
            client.output() << "half\n";
            (void)client.half_close();
            read(client, [](const auto&) { return true; });
        }
        if (word.starts_with("last ")) {
            (void)client.write_last(std::string(std::stoul(word.substr(5)), 'x'));
            read(client, [](const auto&) { return true; });
        }
    }

    template <class Use>
    static void read(preforkd::BlockingConnection& client, const Use& use) {
        std::uint64_t bytes = 0;
        for (;;) {
            const auto chunk = client.read_some();
            if (!chunk) return log_end(bytes, chunk.error);
            bytes += chunk.bytes.size();
            if (!use(chunk)) return;
        }
    }
};
PREFORKD_HANDLER(Told);
