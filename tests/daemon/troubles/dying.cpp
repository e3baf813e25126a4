// Whose workers die as soon as they have started, and say that they have served.
#include <preforkd/preforkd.hpp>

#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

/// In its record, which is the memory that it shares.  Source: proc(5), /proc/pid/maps.
void claim_to_have_served() {
    std::ifstream maps{"/proc/self/maps"};
    for (std::string line; std::getline(maps, line);) {
        unsigned long begin = 0;
        unsigned long end = 0;
        char rights[5] = "";
        if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights) == 3 && std::strcmp(rights, "rw-s") == 0)
            std::memset(reinterpret_cast<void*>(begin), 1, end - begin);
    }
}

struct Dying : preforkd::BlockingHandler {
    void worker_started() override {
        claim_to_have_served();
        ::_exit(3);
    }
    void serve(preforkd::BlockingConnection&) override {}
};
PREFORKD_HANDLER(Dying);
