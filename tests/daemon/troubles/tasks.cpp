// Uses what its worker offers beside clients, and says what came of it.
#include <preforkd/preforkd.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

using namespace std::chrono_literals;

std::string thread_name() {
    std::string text(32, '\0');
    text.resize(static_cast<std::size_t>(std::snprintf(text.data(), text.size(), "%lx", ::pthread_self())));
    return text;
}

struct Tasks : preforkd::StreamHandler {
    void worker_started(preforkd::Worker& worker) override {
        worker_ = &worker;
        worker.spawn(tick());
        worker.spawn(fail());
    }
    void worker_draining() override { std::puts(worker_->draining() ? "draining" : "not draining"); }
    void worker_leaving() override { std::puts(ended_ ? "leaving after the task" : "leaving before the task"); }

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        while (const auto line = co_await client.read_line()) {
            const std::string word{line.line()};
            (void)co_await client.write(co_await answer(word) + '\n');
        }
    }

    preforkd::awaitable<std::string> answer(std::string word) {
        if (word == "who")
            co_return std::to_string(worker_->number()) + ' ' + std::to_string(worker_->generation()) + ' ' +
                std::string{to_string(worker_->model())};
        if (word == "ticks") {
            const int before = ticks_;
            boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor};
            while (ticks_ < before + 3) {
                timer.expires_after(1ms);
                co_await timer.async_wait(boost::asio::use_awaitable);
            }
            co_return "it ticks";
        }
        if (word == "offload") {
            const std::string here = thread_name();
            const std::string there = co_await worker_->offload([] { return thread_name(); });
            co_return here == there ? "the same thread"
            : here == thread_name() ? "elsewhere and back"
                                    : "elsewhere, and not back";
        }
        if (word == "offload throws") try {
                co_await worker_->offload([] { throw std::runtime_error{"no rows"}; });
            } catch (const std::runtime_error& error) { co_return error.what(); }
        if (word.starts_with("say ")) {
            const std::string captured = word + ", said elsewhere and longer than a short string is";
            const auto call = [captured, copy = word] { return copy.size() > 3 ? captured : copy; };
            co_return co_await worker_->offload(call);
        }
        co_return "what?";
    }

    preforkd::awaitable<void> tick() {
        const Ended noted{ended_};
        boost::asio::steady_timer timer{worker_->executor()};
        for (;;) {
            timer.expires_after(1ms);
            co_await timer.async_wait(boost::asio::use_awaitable);
            ++ticks_;
        }
    }
    preforkd::awaitable<void> fail() {
        co_await worker_->offload([] {});
        throw std::runtime_error{"as told"};
    }

    struct Ended {
        explicit Ended(std::atomic<bool>& its_flag) : flag{its_flag} {}
        Ended(const Ended&) = delete;
        Ended& operator=(const Ended&) = delete;
        ~Ended() { flag = true; }
        std::atomic<bool>& flag;
    };

    preforkd::Worker* worker_ = nullptr;
    std::atomic<int> ticks_{0};
    std::atomic<bool> ended_{false};
};

}  // namespace

PREFORKD_HANDLER(Tasks);
