// Tasks that go on whatever happens in a round of their loop.
#include <preforkd/preforkd.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>

namespace {

using namespace std::chrono_literals;
using namespace boost::asio::experimental::awaitable_operators;

struct SaysWhenDestroyed {
    explicit SaysWhenDestroyed(const char* its_name) noexcept : name{its_name} {}
    SaysWhenDestroyed(const SaysWhenDestroyed&) = delete;
    SaysWhenDestroyed& operator=(const SaysWhenDestroyed&) = delete;
    ~SaysWhenDestroyed() { std::printf("the end of %s\n", name); }
    const char* name;
};

struct Tireless : preforkd::StreamHandler {
    static constexpr auto models = {Model::Async, Model::Serial, Model::Thread};

    void worker_started(preforkd::Worker& worker) override {
        worker.spawn(wait_for_ever(worker));
        worker.spawn(connect_for_ever(worker));
        worker_ = &worker;
    }
    void worker_leaving() override { std::puts("leaving"); }

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        while (const auto line = co_await client.read_line()) {
            if (line.line() == "both")
                worker_->spawn(wait_for_both());
            else
                worker_->spawn(connect_once(std::string{line.line()}));
        }
    }

    preforkd::awaitable<void> wait_for_ever(preforkd::Worker& worker) {
        const SaysWhenDestroyed noted{"waiting"};
        for (boost::asio::steady_timer timer{worker.executor()};;) try {
                timer.expires_after(200ms);
                co_await timer.async_wait(boost::asio::use_awaitable);
            } catch (...) {}
    }

    preforkd::awaitable<void> wait_for_both() { co_await (wait_for_ever(*worker_) && wait_for_ever(*worker_)); }

    preforkd::awaitable<void> connect_for_ever(preforkd::Worker& worker) {
        const SaysWhenDestroyed noted{"connecting"};
        for (boost::asio::steady_timer timer{worker.executor()};;) try {
                timer.expires_after(10ms);
                co_await timer.async_wait(boost::asio::use_awaitable);
                (void)co_await worker.connect("unix://@preforkd-nobody-listens-here");
            } catch (const std::exception&) {}
    }

    /// Catches nothing, and its end is no failure.
    preforkd::awaitable<void> connect_once(std::string endpoint) {
        const SaysWhenDestroyed noted{"hoping"};
        (void)co_await worker_->connect(endpoint, 0ms);
    }

    preforkd::Worker* worker_ = nullptr;
};

}  // namespace

PREFORKD_HANDLER(Tireless);
