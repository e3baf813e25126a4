#include "daemon/worker/handler/worker_core.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <future>
#include <stdexcept>
#include <thread>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

/// Waits until somebody ends it; notes that it was told, and in which thread it has begun.
awaitable<void> wait_for_ever(std::promise<std::thread::id>& begun, bool& told) {
    begun.set_value(std::this_thread::get_id());
    boost::asio::steady_timer never{co_await boost::asio::this_coro::executor, 1h};
    try {
        co_await never.async_wait(boost::asio::use_awaitable);
    } catch (const boost::system::system_error& error) { told = error.code() == boost::asio::error::operation_aborted; }
}

class WorkerCores : public ::testing::TestWithParam<Model> {
protected:
    WorkerCore core{{.number = 3, .generation = 2, .model = GetParam()}, nullptr, nullptr};
    Worker& worker = core.worker();
};
INSTANTIATE_TEST_SUITE_P(models, WorkerCores, ::testing::Values(Model::Serial, Model::Thread),
                         [](const auto& each) { return std::string{to_string(each.param)}; });

TEST_P(WorkerCores, say_whose_they_are) {
    EXPECT_EQ(worker.number(), 3);
    EXPECT_EQ(worker.generation(), 2);
    EXPECT_EQ(worker.model(), GetParam());
    EXPECT_FALSE(worker.draining());
    core.drain();
    EXPECT_TRUE(worker.draining());
}

TEST_P(WorkerCores, run_tasks_in_a_thread_and_tell_them_the_end) {
    std::promise<std::thread::id> begun;
    bool told = false;
    worker.spawn(wait_for_ever(begun, told));
    core.start();
    EXPECT_NE(begun.get_future().get(), std::this_thread::get_id());
    core.end();
    EXPECT_TRUE(told);
    core.end();
}

TEST_P(WorkerCores, begin_no_task_before_the_worker_serves) {
    std::promise<std::thread::id> begun;
    bool told = false;
    worker.spawn(wait_for_ever(begun, told));
    core.end();
    begun.set_value({});  // which throws if it has begun
    EXPECT_FALSE(told);
}

TEST_P(WorkerCores, wait_at_the_end_for_a_call_that_runs) {
    std::promise<void> running;
    std::promise<void> go_on;
    std::shared_future<void> may_go_on = go_on.get_future().share();
    bool returned = false;
    boost::asio::io_context home;
    boost::asio::co_spawn(
        home,
        [&]() -> awaitable<void> {
            const int got = co_await worker.offload([&running, &may_go_on, &returned] {
                running.set_value();
                may_go_on.wait();
                returned = true;
                return 7;
            });
            EXPECT_EQ(got, 7);
        },
        boost::asio::detached);
    home.poll();  // begins it
    running.get_future().wait();
    std::thread other{[&] { go_on.set_value(); }};
    core.end();
    EXPECT_TRUE(returned);
    other.join();
    home.run();
}

/// As in model thread; whether the pool's threads touch it afterwards, ThreadSanitizer sees.
TEST_P(WorkerCores, are_done_with_a_loop_when_its_coroutine_is_resumed) {
    for (int round = 0; round < 200; ++round) {
        int got = 0;
        boost::asio::io_context home;
        boost::asio::co_spawn(
            home,
            [&]() -> awaitable<void> {
                const int returned = co_await worker.offload([&round] { return round; });
                got = returned;
                home.stop();
            },
            boost::asio::detached);
        home.run();
        EXPECT_EQ(got, round);
    }
}

TEST(WorkerCore, has_no_threads_in_model_fork) {
    WorkerCore core{{.model = Model::Fork}, nullptr, nullptr};
    EXPECT_THROW((void)core.worker().executor(), std::logic_error);
    EXPECT_THROW((void)core.pool(), std::logic_error);
}

TEST(WorkerCore, calls_at_a_fast_stop_whom_it_was_told_of_and_nobody_else) {
    WorkerCore core{{}, nullptr, nullptr};
    int first = 0;
    int second = 0;
    int late = 0;
    const auto forgotten = core.at_fast_stop([&] { ++first; });
    (void)core.at_fast_stop([&] { ++second; });
    core.forget(forgotten);
    core.hurry();
    core.hurry();
    (void)core.at_fast_stop([&] { ++late; });
    EXPECT_EQ(first, 0);
    EXPECT_EQ(second, 1);
    EXPECT_EQ(late, 1) << "at once";
}

}  // namespace
}  // namespace preforkd
