// What the models for blocking handlers have in common: serial and thread, with and without a master.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/worker/model/serve_model.hpp"
#include "mini_daemon.hpp"

namespace preforkd {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::Combine;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::Values;

struct Cell {
    Model model;
    const char* workers;
};

class BlockingModels : public ::testing::TestWithParam<Cell> {
protected:
    static MiniDaemon start() {
        return {bracketing(GetParam().model), {"--handler", "bracketing", "--workers", GetParam().workers}};
    }
};
INSTANTIATE_TEST_SUITE_P(cells, BlockingModels,
                         Values(Cell{Model::Serial, "0"}, Cell{Model::Serial, "1"}, Cell{Model::Thread, "0"},
                                Cell{Model::Thread, "1"}),
                         [](const auto& cell) {
                             return std::string{to_string(cell.param.model)} + "_" + cell.param.workers;
                         });

TEST_P(BlockingModels, what_a_handler_throws_ends_its_request_only) {
    MiniDaemon daemon = start();
    EXPECT_EQ(daemon.call().ask("throw"), "");
    EXPECT_EQ(daemon.call().ask("next"), "[next]");
    EXPECT_EQ(daemon.stop(SIGTERM), success);
}

TEST_P(BlockingModels, a_graceful_stop_finishes_the_client_that_is_waited_for) {
    MiniDaemon daemon = start();
    const Caller caller = daemon.call();
    EXPECT_EQ(caller.ask("before"), "[before]");
    daemon.signal(SIGTERM);
    EXPECT_EQ(caller.ask("after"), "[after]");
    caller.half_close();
    EXPECT_EQ(daemon.end(), success);
}

TEST_P(BlockingModels, a_fast_stop_ends_the_wait_for_a_client) {
    MiniDaemon daemon = start();
    const Caller caller = daemon.call();
    EXPECT_EQ(caller.ask("before"), "[before]");
    daemon.signal(SIGINT);
    EXPECT_EQ(caller.hear(), "");
    EXPECT_EQ(daemon.end(), success);
}

TEST_P(BlockingModels, handlers_hear_of_their_worker) {
    const std::string model{to_string(GetParam().model)};
    const std::string heard = hooks_called(model);
    EXPECT_THAT(heard, AllOf(StartsWith("started "), HasSubstr("awake "), EndsWith("leaving ")));
    EXPECT_EQ(heard.find("leaving"), heard.rfind("leaving"));
}

/// worker_started() throws: with a master it is reported, and the daemon gives up, as it does alone.
TEST_P(BlockingModels, a_handler_that_cannot_start_keeps_its_worker_from_being_ready) {
    class Unable final : public BlockingHandler {
        void worker_started() override { throw std::runtime_error{"no database"}; }
        void serve(BlockingConnection&) override {}
    };
    const TemporaryDirectory directory;
    const std::string report = in_child([&]() -> std::string {
        const Handlers handlers = Handlers{}.add(
            {.name = "unable", .make_blocking = [](const HandlerOptions&) { return std::make_unique<Unable>(); }});
        const std::string log = directory / "log", model{to_string(GetParam().model)};
        std::vector<std::string> words{
            "mini", "--listen",  "tcp://127.0.0.1:0", "--log-file",   log,    "--handler",      "unable", "--model",
            model,  "--workers", GetParam().workers,  "--log-format", "text", "--boot-timeout", "10s"};
        std::vector<char*> argv;
        for (std::string& word : words) argv.push_back(word.data());
        argv.push_back(nullptr);
        const int code = run(static_cast<int>(words.size()), argv.data(), handlers);
        std::ifstream file{log};
        return std::to_string(code) + '\n' + std::string{std::istreambuf_iterator<char>{file}, {}};
    });
    const bool alone = std::string_view{GetParam().workers} == "0";
    EXPECT_THAT(report, StartsWith("69\n"));
    const char* const last_word =
        alone ? "cannot start: no database" : "no worker became ready, giving up: no database";
    EXPECT_THAT(report, HasSubstr(last_word));
}

}  // namespace
}  // namespace preforkd
