// A constructor that waits at a FIFO, if there is one, until its writer is gone.
#include <preforkd/preforkd.hpp>

#include <cstdlib>
#include <fstream>
#include <string>

struct Entry : preforkd::BlockingHandler {
    Entry() {
        std::ifstream fifo{std::getenv("BARRIER")};
        for (std::string line; std::getline(fifo, line);) {}
    }
    void serve(preforkd::BlockingConnection& client) override { client.stream() << "passed\n" << std::flush; }
};
PREFORKD_HANDLER(Entry);
