// The same for coroutines: counts lines and bytes, in memory that all workers share and in counters of its own.
#include <preforkd/preforkd.hpp>

#include <atomic>
#include <string>

namespace {

struct Counting : preforkd::StreamHandler {
    static constexpr bool uses_shared_memory = true;

    void worker_started(preforkd::Worker& worker) override { hits_ = &worker.shared<std::atomic<long>>("hits"); }

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        for (;;) {
            const auto line = co_await client.read_line();
            if (!line) co_return;
            lines_.add();
            bytes_.add(line.line().size());
            const std::string answer = std::to_string(++*hits_) + '\n';
            if (const auto error = co_await client.write(answer)) co_return;
        }
    }

    std::atomic<long>* hits_ = nullptr;
    preforkd::Counter lines_{"lines"};
    preforkd::Counter bytes_{"bytes"};
};

}  // namespace

PREFORKD_HANDLER(Counting);
