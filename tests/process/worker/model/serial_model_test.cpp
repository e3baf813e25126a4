#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/worker/model/serve_model.hpp"
#include "mini_daemon.hpp"

namespace preforkd {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::StartsWith;

MiniDaemon start(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--handler", "bracketing"});
    return {bracketing(Model::Serial), std::move(arguments)};
}

TEST(SerialModel, blocking_handlers_serve_one_client_after_the_other) {
    MiniDaemon daemon = start({"--workers", "1"});
    const Caller first = daemon.call();
    EXPECT_EQ(first.ask("one"), "[one]");
    const Caller second = daemon.call();
    second.say("two");
    EXPECT_EQ(second.hear(100), "") << "while the first is served";
    first.half_close();
    EXPECT_EQ(second.hear(), "[two]");
    second.half_close();
    EXPECT_EQ(daemon.stop(SIGTERM), success);
}

TEST(SerialModel, a_slow_client_holds_one_worker_and_its_sibling_serves_all_others) {
    MiniDaemon daemon = start({"--workers", "2"});
    for (int round = 0; round < 4; ++round) {
        const Caller slow = daemon.call();
        EXPECT_EQ(slow.ask("slow"), "[slow]");
        for (int others = 0; others < 40; ++others) {
            const Caller other = daemon.call();
            other.say("quick");
            ASSERT_EQ(other.hear(2000), "[quick]");
        }
        EXPECT_EQ(slow.ask("still"), "[still]");
    }
    EXPECT_EQ(daemon.stop(SIGINT), success);
}

class SerialStop : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(workers, SerialStop, ::testing::Values("0", "1"));

TEST_P(SerialStop, a_graceful_stop_serves_whoever_is_queued) {
    MiniDaemon daemon = start({"--workers", GetParam()});
    const Caller caller = daemon.call();
    EXPECT_EQ(caller.ask("before"), "[before]");
    std::vector<Caller> queued;
    for (int each = 0; each < 5; ++each) {
        queued.push_back(daemon.call());
        queued.back().say("queued");
        queued.back().half_close();
    }
    daemon.signal(SIGTERM);
    caller.half_close();
    for (const Caller& each : queued) EXPECT_EQ(each.hear(), "[queued]");
    EXPECT_EQ(daemon.end(), success);
}

TEST_P(SerialStop, the_stop_timeout_ends_the_wait_for_a_client) {
    MiniDaemon daemon = start({"--workers", GetParam(), "--stop-timeout", "200ms"});
    const Caller caller = daemon.call();
    EXPECT_EQ(caller.ask("before"), "[before]");
    daemon.signal(SIGTERM);
    EXPECT_EQ(caller.hear(), "");
    EXPECT_EQ(daemon.end(), success);
}

/// Computes, and then waits for its client for ever; says that it was let finish.
class Computing final : public BlockingHandler {
public:
    explicit Computing(int notes) : notes_{notes} {}
    void serve(BlockingConnection& client) override {
        (void)client.write("begun");
        for (const auto until = Clock::now() + std::chrono::milliseconds{700}; Clock::now() < until;) {}
        (void)client.read_some();
    }
    void finish(BlockingConnection&) override { (void)!::write(notes_, "finished", 8); }

private:
    int notes_;
};

TEST(SerialModel, without_a_master_a_handler_that_reads_after_a_stop_has_what_is_left_of_the_stop_timeout) {
    Pipe notes = make_pipe();
    const int writer = notes.writer.get();
    MiniDaemon daemon{
        Handlers{}.add({.name = "computing",
                        .model = Model::Serial,
                        .make_blocking = [=](const HandlerOptions&) { return std::make_unique<Computing>(writer); }}),
        {"--handler", "computing", "--workers", "0", "--stop-timeout", "1s"}};
    notes.writer = UniqueFd{};
    const Caller caller = daemon.call();
    EXPECT_EQ(caller.hear(), "begun");
    const auto start = Clock::now();
    EXPECT_EQ(daemon.stop(SIGTERM), success);
    EXPECT_EQ(read_to_end(notes.reader.get()), "finished");
    EXPECT_GT(Clock::now() - start, std::chrono::milliseconds{990});
}

}  // namespace
}  // namespace preforkd
