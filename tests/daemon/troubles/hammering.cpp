// Hears all that others publish, and counts; `hammer` has it publish until it is killed.
#include <preforkd/preforkd.hpp>

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>

namespace {

struct Published {
    std::atomic<std::uint64_t> messages;  ///< of which publish() has returned
};

/// Many times the same, of many sizes: half of one would not pass for a whole one.
std::string text_of(std::uint64_t number) {
    std::string text;
    for (std::uint64_t times = 0; times <= number % 40; ++times) text += std::to_string(number) + ' ';
    return text;
}

struct Hammering : preforkd::StreamHandler {
    static constexpr bool uses_bus = true;
    static constexpr bool uses_shared_memory = true;

    void worker_started(preforkd::Worker& worker) override {
        bus_ = &worker.bus();
        published_ = &worker.shared<Published>("published");
        bus_->subscribe("numbers", [this](std::string_view text) { hear(text); });
        bus_->on_loss([this](std::uint64_t messages) { lost_ += messages; });
    }

    /// Who publishes begins with its pid, which is its own as long as the test lasts.
    void hear(std::string_view text) {
        const std::size_t space = text.find(' ');
        std::uint64_t& before = last_[std::string{text.substr(0, space)}];
        const std::uint64_t number = std::stoull(std::string{text.substr(space + 1)});
        if (text.substr(space + 1) != text_of(number)) wrong_ = "half";
        if (number <= before) wrong_ = "disordered";
        before = number;
        ++heard_;
    }

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        for (;;) {
            const auto line = co_await client.read_line();
            if (!line) co_return;
            if (line.line() == "hammer") std::thread{[this] { hammer(); }}.detach();
            const std::string answer = std::to_string(::getpid()) + ' ' + std::to_string(published_->messages) + ' ' +
                                       std::to_string(heard_) + ' ' + std::to_string(lost_) + ' ' + wrong_ + '\n';
            if (const auto error = co_await client.write(answer)) co_return;
        }
    }

    void hammer() {
        const std::string own = std::to_string(::getpid()) + ' ';
        for (std::uint64_t number = 1;; ++number) {
            bus_->publish("numbers", own + text_of(number));
            ++published_->messages;
        }
    }

    preforkd::Bus* bus_ = nullptr;
    Published* published_ = nullptr;
    std::map<std::string, std::uint64_t> last_{};
    std::uint64_t heard_ = 0;
    std::uint64_t lost_ = 0;
    std::string wrong_ = "nothing";
};

}  // namespace

PREFORKD_HANDLER(Hammering);
