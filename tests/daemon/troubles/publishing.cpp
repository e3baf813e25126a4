// `publish TEXT` tells all workers, and `heard` says by whom it is answered and what that one has heard.
#include <preforkd/preforkd.hpp>

#include <unistd.h>

#include <csignal>
#include <mutex>
#include <string>

namespace {

struct Publishing : preforkd::BlockingHandler {
    static constexpr bool uses_bus = true;

    void worker_started(preforkd::Worker& worker) override {
        bus_ = &worker.bus();
        bus_->subscribe("news", [this](std::string_view text) {
            if (text == "throw") throw std::runtime_error{"of a callback"};
            const std::scoped_lock lock{mutex_};
            heard_ += ' ';
            heard_ += text;
        });
    }

    void serve(preforkd::BlockingConnection& client) override {
        for (std::string line; getline(client.stream(), line);) {
            if (line.starts_with("publish ")) bus_->publish("news", line.substr(8));
            if (line == "flood")
                for (int n = 0; n < 3000; ++n) bus_->publish("other", "x");
            if (line == "die") std::raise(SIGKILL);
            const std::scoped_lock lock{mutex_};
            client.stream() << ::getpid() << heard_ << std::endl;
        }
    }

    std::mutex mutex_{};
    std::string heard_{};
    preforkd::Bus* bus_ = nullptr;
};

}  // namespace

PREFORKD_HANDLER(Publishing);
