// Says when it goes, and when a local variable of a request or task that refers to it does.
#include <preforkd/preforkd.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

namespace {

using namespace std::chrono_literals;

/// What it says is longer than a short string, whose memory is another's once it has gone.
struct Outliving : preforkd::StreamHandler {
    static constexpr bool uses_bus = true;

    ~Outliving() override {
        say("has gone");
        name_.assign(name_.size(), 'x');
    }
    void worker_started(preforkd::Worker& worker) override {
        worker_ = &worker;
        worker.spawn(wait_for_ever("task"));
    }

    preforkd::awaitable<void> serve(preforkd::Connection& client) override {
        const auto line = co_await client.read_line();
        const std::string what{line.line()};
        const Local local{*this, "request"};
        preforkd::Bus bus{*worker_};
        bus.subscribe("news", [this](std::string_view) { say("hears"); });
        (void)co_await client.write("in\n");
        if (what == "read") (void)co_await client.read_line();
        if (what == "timer") co_await wait_for_ever("part");
        if (what == "offload") co_await worker_->offload([] { std::this_thread::sleep_for(300ms); });
        if (what.starts_with("tcp:")) (void)co_await worker_->connect(what, 1h);
    }

    struct Local {
        Local(Outliving& its_handler, const char* its_name) : handler{its_handler}, name{its_name} {}
        Local(const Local&) = delete;
        Local& operator=(const Local&) = delete;
        ~Local() { handler.say(name); }
        Outliving& handler;
        const char* name;
    };

    preforkd::awaitable<void> wait_for_ever(const char* name) {
        const Local local{*this, name};
        boost::asio::steady_timer never{co_await boost::asio::this_coro::executor, 1h};
        co_await never.async_wait(boost::asio::use_awaitable);
    }

    void say(const char* what) const {
        std::printf("%s %s\n", name_.c_str(), what);
        std::fflush(stdout);
    }

    preforkd::Worker* worker_ = nullptr;
    std::string name_ = "the handler that all of them refer to:";
};

}  // namespace

PREFORKD_HANDLER(Outliving);
