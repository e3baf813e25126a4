// A task beside clients that block.
#include <preforkd/preforkd.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>

namespace {

using namespace std::chrono_literals;

struct Tasks : preforkd::BlockingHandler {
    void worker_started(preforkd::Worker& worker) override { worker.spawn(tick(worker)); }
    void worker_leaving() override { std::puts(ended_ ? "leaving after the task" : "leaving before the task"); }

    void serve(preforkd::BlockingConnection& client) override {
        for (std::string line; getline(client.stream(), line);) {
            std::unique_lock lock{mutex_};
            const int before = ticks_;
            const bool ticks = ticked_.wait_for(lock, 10s, [&] { return ticks_ >= before + 3; });
            client.output() << (ticks ? "it ticks" : "it does not tick") << std::endl;
        }
    }

    preforkd::awaitable<void> tick(preforkd::Worker& worker) {
        boost::asio::steady_timer timer{worker.executor()};
        try {
            for (;;) {
                timer.expires_after(1ms);
                co_await timer.async_wait(boost::asio::use_awaitable);
                const std::scoped_lock lock{mutex_};
                ++ticks_;
                ticked_.notify_all();
            }
        } catch (const boost::system::system_error&) { ended_ = true; }
    }

    std::mutex mutex_{};
    std::condition_variable ticked_{};
    int ticks_ = 0;
    bool ended_ = false;
};

}  // namespace

PREFORKD_HANDLER(Tasks);
