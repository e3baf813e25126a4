#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "daemon/worker/model/serve_model.hpp"
#include "mini_daemon.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::StartsWith;

/// Waits before it answers, so that the private loop of a thread is of use; logs, as handlers do.
class Coroutine final : public StreamHandler {
public:
    awaitable<void> serve(Connection& client) override {
        while (const auto word = co_await client.read_some()) {
            ++words_;
            log(LogLevel::Info, "a word", {{"word", word.text()}, {"words", std::uint64_t{words_.load()}}});
            if (co_await client.write(word.bytes)) co_return;
        }
    }

private:
    std::atomic<std::uint64_t> words_{0};
};

Handlers both_kinds() {
    Handlers handlers = bracketing(Model::Thread);
    handlers.add({.name = "coroutine", .model = Model::Thread, .make_stream = [](const HandlerOptions&) {
                      return std::make_unique<Coroutine>();
                  }});
    return handlers;
}

MiniDaemon start_threads(std::vector<std::string> arguments, const std::string& handler = "bracketing") {
    arguments.insert(arguments.end(), {"--handler", handler});
    return {both_kinds(), std::move(arguments)};
}

class ThreadModel : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(workers, ThreadModel, ::testing::Values("0", "1"));

TEST_P(ThreadModel, clients_are_served_at_the_same_time) {
    MiniDaemon daemon = start_threads({"--workers", GetParam()});
    std::vector<Caller> callers;
    for (int each = 0; each < 10; ++each) {
        callers.push_back(daemon.call());
        EXPECT_EQ(callers.back().ask("hello"), "[hello]");
    }
    for (const Caller& caller : callers) EXPECT_EQ(caller.ask("again"), "[again]");
    callers.clear();
    EXPECT_EQ(daemon.stop(SIGTERM), success);
}

TEST_P(ThreadModel, at_the_limit_a_client_waits_until_another_has_gone) {
    MiniDaemon daemon = start_threads({"--workers", GetParam(), "--connections", "2"});
    const Caller first = daemon.call();
    const Caller second = daemon.call();
    EXPECT_EQ(first.ask("one"), "[one]");
    EXPECT_EQ(second.ask("two"), "[two]");
    const Caller third = daemon.call();
    third.say("three");
    EXPECT_EQ(third.hear(100), "");
    first.half_close();
    EXPECT_EQ(third.hear(), "[three]");
    second.half_close();
    third.half_close();
    EXPECT_EQ(daemon.stop(SIGTERM), success);
}

TEST_P(ThreadModel, a_fast_stop_ends_every_wait_for_a_client) {
    for (const char* handler : {"bracketing", "coroutine"}) {
        MiniDaemon daemon = start_threads({"--workers", GetParam()}, handler);
        std::vector<Caller> callers;
        for (int each = 0; each < 5; ++each) {
            callers.push_back(daemon.call());
            EXPECT_NE(callers.back().ask("hello"), "");
        }
        daemon.signal(SIGINT);
        for (const Caller& caller : callers) EXPECT_EQ(caller.hear(), "");
        EXPECT_EQ(daemon.end(), success);
    }
}

TEST_P(ThreadModel, a_handler_that_never_returns_does_not_keep_its_worker) {
    MiniDaemon daemon = start_threads({"--workers", GetParam()});
    const Caller caller = daemon.call();
    EXPECT_EQ(caller.ask("stall"), "[stall]");
    EXPECT_EQ(daemon.stop(SIGINT), success);
}

TEST_P(ThreadModel, signals_are_the_main_threads) {
    MiniDaemon daemon = start_threads({"--workers", GetParam()});
    EXPECT_EQ(daemon.call().ask("mask"), "[deaf]");
    EXPECT_EQ(daemon.stop(SIGTERM), success);
}

/// Where ThreadSanitizer looks closest: one process, whose exit code a race would change.
TEST(ThreadModelLoad, threads_come_and_go_under_load) {
    for (const char* handler : {"bracketing", "coroutine"}) {
        MiniDaemon daemon = start_threads({"--workers", "0", "--connections", "6"}, handler);
        std::atomic<int> answers{0};
        const auto crowd = [&] {
            for (int each = 0; each < 100; ++each) {
                const Caller caller = daemon.call();
                for (int words = 0; words < each % 3 + 1; ++words) caller.ask("word") != "" ? ++answers : 0;
                if (each % 2 == 0) caller.half_close();
            }
        };
        std::vector<std::thread> crowds;
        for (int each = 0; each < 8; ++each) crowds.emplace_back(crowd);
        for (std::thread& each : crowds) each.join();
        EXPECT_EQ(answers, 8 * 199);
        EXPECT_EQ(daemon.stop(SIGTERM), success);
    }
}

}  // namespace
}  // namespace preforkd
