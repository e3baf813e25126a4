// Does what its client says, line by line: whatever a handler should not do.
#include <preforkd/preforkd.hpp>

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

void spin_for_ever() {
    for (volatile int turns = 0;;) turns = turns + 1;
}

void block_for_ever() {
    for (;;) ::pause();
}

struct Trouble : preforkd::BlockingHandler {
    void worker_started() override {
        if (const char* bytes = std::getenv("TROUBLE_BYTES")) own.assign(std::strtoul(bytes, nullptr, 10), 'x');
    }
    void serve(preforkd::BlockingConnection& client) override {
        std::string word;
        while (std::getline(client.stream(), word)) {
            client.stream() << word << ' ' << ::getpid() << std::endl;
            if (word == "spin") spin_for_ever();
            if (word == "throw") throw std::runtime_error{"as told"};
            if (word == "throw 7") throw 7;
            if (word == "block") block_for_ever();
            if (word.starts_with("run ")) (void)!std::system(word.c_str() + 4);
            if (word == "work") {
                for (const auto until = std::chrono::steady_clock::now() + 300ms;
                     std::chrono::steady_clock::now() < until;) {}
            }
            if (word == "leak") {  // 8 MiB
                auto& piece = leaked.emplace_back(std::size_t{8} << 20);
                std::memset(piece.data(), 1, piece.size());
            }
        }
    }
    std::vector<char> own{};  // before the first client
    static inline thread_local std::vector<std::vector<char>> leaked{};
};
PREFORKD_HANDLER(Trouble);
