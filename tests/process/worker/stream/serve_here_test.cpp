#include "daemon/worker/stream/serve_here.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "here.hpp"
#include "preforkd/blocking_connection.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using namespace testing;
using ::testing::ElementsAre;

using Calls = std::vector<std::string>;

/// Notes what it is asked; `serving` is what serve() does.
class Noting final : public BlockingHandler {
public:
    [[nodiscard]] bool verify(const Endpoint&) override {
        calls.emplace_back("verify");
        return welcome;
    }
    void setup(BlockingConnection&) override {
        calls.emplace_back("setup");
        if (error_in_setup) throw std::runtime_error{"no setup"};
    }
    void serve(BlockingConnection& client) override {
        calls.emplace_back("serve");
        serving(client);
    }
    void finish(BlockingConnection&) override { calls.emplace_back("finish"); }
    void handle_timeout(const Endpoint&) override { calls.emplace_back("handle_timeout"); }
    void handle_error(const Endpoint&, std::exception_ptr) override {
        calls.emplace_back("handle_error");
        if (error_in_error) throw std::runtime_error{"once more"};
    }

    Calls calls{};
    bool welcome = true;
    bool error_in_error = false;
    bool error_in_setup = false;
    std::function<void(BlockingConnection&)> serving = [](BlockingConnection&) {};
};

class Coroutine final : public StreamHandler {
public:
    explicit Coroutine(std::function<awaitable<void>(Connection&)> serving) : serving_{std::move(serving)} {}
    awaitable<void> serve(Connection& client) override { return serving_(client); }

private:
    std::function<awaitable<void>(Connection&)> serving_;
};

class UnreadyCoroutine final : public StreamHandler {
public:
    awaitable<void> setup(Connection&) override { throw std::runtime_error{"no setup"}; }
    awaitable<void> serve(Connection&) override {
        served = true;
        co_return;
    }
    awaitable<void> finish(Connection&) override {
        finished = true;
        co_return;
    }

    bool served = false;
    bool finished = false;
};

class ServeHereTest : public ::testing::Test {
protected:
    /// What the client has received once it was served, and its descriptor closed.
    std::string serve(AnyStreamHandler with, std::chrono::milliseconds idle_timeout = 30s) {
        ServedStream served = serve_here(
            with, client.stream(),
            {.idle_timeout = idle_timeout, .request_timeout = request_timeout, .stop = whistle, .record = record});
        UniqueFd left = std::move(served.fd);
        output_ended = served.output_ended;
        EXPECT_TRUE(left) << "for the caller to close";
        left = UniqueFd{};
        return client.read_rest();
    }

    Client client{};
    Whistle whistle{};
    WorkerRecord record{};
    Noting handler{};
    bool output_ended = false;
    std::chrono::milliseconds request_timeout{0};
};

int epoll_sets() {
    int found = 0;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
        std::error_code gone;
        if (std::filesystem::read_symlink(entry.path(), gone) == "anon_inode:[eventpoll]") ++found;
    }
    return found;
}

TEST_F(ServeHereTest, calls_the_hooks_in_order_and_sends_what_the_stream_still_holds) {
    handler.serving = [](BlockingConnection& served) { served.stream() << "unflushed"; };
    EXPECT_EQ(serve(&handler), "unflushed");
    EXPECT_THAT(handler.calls, ElementsAre("verify", "setup", "serve", "finish"));
}

TEST_F(ServeHereTest, what_was_not_set_up_is_not_finished) {
    handler.error_in_setup = true;
    EXPECT_EQ(serve(&handler), "");
    EXPECT_THAT(handler.calls, ElementsAre("verify", "setup", "handle_error"));
}

TEST_F(ServeHereTest, a_coroutine_that_was_not_set_up_is_not_finished) {
    UnreadyCoroutine unready;
    EXPECT_EQ(serve(static_cast<StreamHandler*>(&unready)), "");
    EXPECT_FALSE(unready.served);
    EXPECT_FALSE(unready.finished);
}

TEST_F(ServeHereTest, says_whether_our_output_has_ended) {
    handler.serving = [](BlockingConnection& served) { served.write("not the last"); };
    EXPECT_EQ(serve(&handler), "not the last");
    EXPECT_FALSE(output_ended);
}

TEST_F(ServeHereTest, says_that_the_last_write_has_ended_our_output) {
    handler.serving = [](BlockingConnection& served) { served.write_last("the last"); };
    EXPECT_EQ(serve(&handler), "the last");
    EXPECT_TRUE(output_ended);
}

TEST_F(ServeHereTest, a_client_that_is_not_verified_hears_nothing) {
    handler.welcome = false;
    EXPECT_EQ(serve(&handler), "");
    EXPECT_THAT(handler.calls, ElementsAre("verify"));
}

TEST_F(ServeHereTest, a_client_whose_time_is_up_is_cut_off_and_whatever_its_handler_tries_fails) {
    request_timeout = 20ms;
    std::vector<std::error_code> errors;
    handler.serving = [&](BlockingConnection& served) {
        client.send("not the last word");
        while (!errors.size()) {
            const Received got = served.read_some();
            if (got.error) errors.push_back(got.error);
        }
        errors.push_back(served.read_some().error);
        errors.push_back(served.write("more"));
    };
    EXPECT_EQ(serve(&handler), "");
    EXPECT_THAT(errors, ::testing::Each(std::make_error_code(std::errc::timed_out)));
    EXPECT_EQ(errors.size(), 3U);
    EXPECT_THAT(handler.calls, ElementsAre("verify", "setup", "serve", "finish")) << "the client was not silent";
}

TEST_F(ServeHereTest, a_client_that_never_lets_its_handler_wait_is_cut_off_too) {
    request_timeout = 20ms;
    std::error_code error;
    handler.serving = [&](BlockingConnection& served) {
        while (!error) {
            client.send("x");
            error = served.read_some().error;
        }
    };
    serve(&handler);
    EXPECT_EQ(error, std::errc::timed_out);
}

TEST_F(ServeHereTest, a_coroutine_whose_clients_time_is_up_is_told_by_the_next_error) {
    request_timeout = 20ms;
    std::vector<std::error_code> errors;
    Coroutine coroutine{[&](Connection& served) -> awaitable<void> {
        errors.push_back((co_await served.read_some()).error);
        errors.push_back((co_await served.read_some()).error);
        errors.push_back(co_await served.write("more"));
    }};
    EXPECT_EQ(serve(&coroutine), "");
    EXPECT_THAT(errors, ::testing::Each(std::make_error_code(std::errc::timed_out)));
    EXPECT_EQ(errors.size(), 3U);
}

TEST_F(ServeHereTest, a_request_that_ends_in_time_is_not_cut_off) {
    request_timeout = 30s;
    handler.serving = [](BlockingConnection& served) { (void)served.write("in time"); };
    EXPECT_EQ(serve(&handler), "in time");
}

TEST_F(ServeHereTest, whatever_a_handler_throws_ends_its_request_only) {
    handler.serving = [](BlockingConnection& served) {
        served.stream() << "so far";
        throw 42;
    };
    EXPECT_EQ(serve(&handler), "so far");
    EXPECT_THAT(handler.calls, ElementsAre("verify", "setup", "serve", "handle_error", "finish"));
}

TEST_F(ServeHereTest, what_the_error_hook_throws_ends_nothing_more) {
    handler.error_in_error = true;
    handler.serving = [](BlockingConnection&) { throw std::runtime_error{"first"}; };
    EXPECT_EQ(serve(&handler), "");
    EXPECT_THAT(handler.calls, ElementsAre("verify", "setup", "serve", "handle_error", "finish"));
}

TEST_F(ServeHereTest, tells_the_handler_of_a_client_that_was_waited_for_in_vain) {
    handler.serving = [](BlockingConnection& served) { (void)served.read_some(); };
    EXPECT_EQ(serve(&handler, 20ms), "");
    EXPECT_THAT(handler.calls, ElementsAre("verify", "setup", "serve", "handle_timeout", "finish"));
}

TEST_F(ServeHereTest, a_coroutine_that_never_waits_costs_no_epoll_set) {
    int sets = -1;
    Coroutine greeting{[&](Connection& served) -> awaitable<void> {
        (void)co_await served.write("connected\n");
        sets = epoll_sets();
    }};
    const int before = epoll_sets();
    EXPECT_EQ(serve(&greeting), "connected\n");
    EXPECT_EQ(sets, before);
    EXPECT_EQ(whistle.first_waits, 0);
}

TEST_F(ServeHereTest, a_coroutine_waits_in_a_loop_of_its_own) {
    Coroutine echo{[](Connection& served) -> awaitable<void> {
        while (const auto chunk = co_await served.read_some()) (void)co_await served.write(chunk.bytes);
    }};
    std::thread other{[&] {
        for (int times = 0; times < 3; ++times) {
            wait_for(record, WorkerState::WaitingForClient);
            client.send("x");
            EXPECT_EQ(client.read_some(), "x");
        }
        client.half_close();
    }};
    EXPECT_EQ(serve(&echo), "");
    other.join();
    EXPECT_EQ(whistle.first_waits, 1);
}

TEST_F(ServeHereTest, a_waiting_coroutine_hears_that_it_has_to_hurry) {
    std::error_code error;
    Coroutine waiting{[&](Connection& served) -> awaitable<void> { error = (co_await served.read_some()).error; }};
    std::thread other{[&] {
        wait_for(record, WorkerState::WaitingForClient);
        whistle.blow();
    }};
    EXPECT_EQ(serve(&waiting), "");
    other.join();
    EXPECT_EQ(error, std::errc::operation_canceled);
}

TEST_F(ServeHereTest, a_coroutine_that_begins_in_a_hurry_does_not_wait) {
    whistle.blow();
    std::error_code error;
    Coroutine waiting{[&](Connection& served) -> awaitable<void> { error = (co_await served.read_some()).error; }};
    EXPECT_EQ(serve(&waiting), "");
    EXPECT_EQ(error, std::errc::operation_canceled);
}

TEST_F(ServeHereTest, a_coroutine_that_throws_ends_its_request_only) {
    Coroutine failing{[](Connection& served) -> awaitable<void> {
        (void)co_await served.write("so far");
        throw std::runtime_error{"as provoked"};
    }};
    EXPECT_EQ(serve(&failing), "so far");
}

}  // namespace
}  // namespace preforkd
