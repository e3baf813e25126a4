// What holds of coroutines in a worker.
#include <gtest/gtest.h>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "mini_daemon.hpp"
#include "preforkd/handler_entry.hpp"

namespace preforkd {
namespace {

using namespace testing;
using namespace std::chrono_literals;

/// Notes when it goes, and when what a request of it has goes.
class Host final : public StreamHandler {
public:
    explicit Host(std::string notes) : notes_{std::move(notes)} {}
    ~Host() override { note("handler"); }

    /// Waits for what never comes, and not for its client, so that a fast stop does not reach it.
    awaitable<void> serve(Connection& client) override {
        const Guest guest{*this};
        boost::asio::steady_timer never{co_await boost::asio::this_coro::executor, 1h};
        (void)co_await client.write("in");
        co_await never.async_wait(boost::asio::use_awaitable);
    }

private:
    struct Guest {
        explicit Guest(Host& its_host) : host{its_host} {}
        Guest(const Guest&) = delete;
        Guest& operator=(const Guest&) = delete;
        ~Guest() { host.note("guest "); }
        Host& host;
    };

    void note(std::string_view who) const { std::ofstream{notes_, std::ios::app} << who; }
    std::string notes_;  ///< a file: workers keep no descriptors
};

/// Without a master, which would kill a worker in the moment that this ends by itself.
TEST(AsyncModel, at_a_fast_stop_the_handler_outlives_the_local_variables_of_its_requests) {
    const TemporaryDirectory directory;
    const std::string notes = directory / "notes";
    MiniDaemon daemon{
        Handlers{}.add(
            {.name = "host", .make_stream = [=](const HandlerOptions&) { return std::make_unique<Host>(notes); }}),
        {"--handler", "host", "--workers", "0"}};
    const Caller caller = daemon.call();
    ASSERT_EQ(caller.hear(), "in");
    EXPECT_EQ(daemon.stop(SIGINT), success);
    std::ifstream noted{notes};
    EXPECT_EQ((std::string{std::istreambuf_iterator<char>{noted}, {}}), "guest handler");
}

}  // namespace
}  // namespace preforkd
