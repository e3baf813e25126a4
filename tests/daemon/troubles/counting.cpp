// Counts by itself what it serves; how it ends is told by the client.
#include <preforkd/preforkd.hpp>

#include <csignal>
#include <list>
#include <string>

namespace {

preforkd::Counter bytes{"bytes"};  // of the shared object; the other one is its handler's

struct Counting : preforkd::BlockingHandler {
    void serve(preforkd::BlockingConnection& client) override {
        for (std::string line; getline(client.stream(), line);) {
            lines_.add();
            bytes.add(line.size());
            if (line == "die") std::raise(SIGKILL);
            if (line == "many") count_many();
            client.stream() << line << std::endl;
        }
    }

    static void count_many() {
        std::list<preforkd::Counter> many;
        for (int i = 0; i < 60; ++i) many.emplace_back("many_" + std::to_string(i)).add();
    }

    preforkd::Counter lines_{"lines"};
};

}  // namespace

PREFORKD_HANDLER(Counting);
