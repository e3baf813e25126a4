// A program with options of its own.
#include <preforkd/preforkd.hpp>

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

struct Kv : preforkd::BlockingHandler {
    static constexpr auto models = {Model::Serial, Model::Thread};
    static void options(preforkd::Options& own) {
        own.add("banner-file", "FILE", "what to say to each client");
        own.add("word", "TEXT", "what to say then", "bye");
    }

    explicit Kv(const preforkd::HandlerOptions& options) : word_{options["word"]} {
        const std::string& path = options["banner-file"];
        if (word_ == "no exception") throw 7;
        if (path.empty()) return;
        std::ifstream file{path};
        if (!file) throw std::runtime_error{"--banner-file " + path + ": cannot be read; name a file that can"};
        banner_.assign(std::istreambuf_iterator<char>{file}, {});
    }

    void serve(preforkd::BlockingConnection& client) override { client.output() << banner_ << word_ << '\n'; }

    std::string banner_{};
    std::string word_;
};

struct Still : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override { client.output() << "still\n"; }
};

int main(int argc, char** argv) {
    return preforkd::run(argc, argv, {preforkd::handler<Kv>("kv"), preforkd::handler<Still>("still")},
                         {.program = "kv", .version = "1.2"});
}
