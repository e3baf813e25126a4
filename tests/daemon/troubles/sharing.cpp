// Counts in memory that all workers share, and says how far it has come.  `-DVERSION=2`: another version of it;
// `-DMORE=3`: three numbers more.
#include <preforkd/preforkd.hpp>

#include <array>
#include <atomic>
#include <csignal>
#include <string>

#ifndef VERSION
#define VERSION 1
#endif
#ifndef MORE
#define MORE 0
#endif

namespace {

struct Hits {
    static constexpr unsigned version = VERSION;
    std::atomic<long> lines;
    std::atomic<long> bytes;
#if MORE
    std::array<std::atomic<long>, MORE> more;
#endif
};

struct Sharing : preforkd::BlockingHandler {
    static constexpr bool uses_shared_memory = true;

    void worker_started(preforkd::Worker& worker) override { hits_ = &worker.shared<Hits>("hits"); }

    void serve(preforkd::BlockingConnection& client) override {
        for (std::string line; getline(client.stream(), line);) {
            const long lines = ++hits_->lines;
            hits_->bytes += static_cast<long>(line.size());
            if (line == "die") std::raise(SIGKILL);
            client.stream() << lines << ' ' << hits_->bytes << std::endl;
        }
    }

    Hits* hits_ = nullptr;
};

}  // namespace

PREFORKD_HANDLER(Sharing);
