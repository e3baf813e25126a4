#pragma once
// What is behind a Worker.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>

#include <atomic>
#include <exception>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "daemon/worker/handler/service_shares.hpp"
#include "daemon/worker/loop/asio_reactor.hpp"
#include "preforkd/worker_context.hpp"

namespace preforkd {

/// A loop that threads of its own turn once they are started.
class LoopThreads {
public:
    explicit LoopThreads(int threads) : context{threads}, wanted_{threads} {}
    ~LoopThreads() { stop(); }
    LoopThreads(const LoopThreads&) = delete;
    LoopThreads& operator=(const LoopThreads&) = delete;

    /// As many of them as there are to be had; throws std::system_error where that is none.
    void start();

    /// Until the loop is stopped.
    void join() noexcept;

    /// Waits for what runs, and destroys what has not ended.  What uses the context may be destroyed after that.
    void stop() noexcept;

    EndableContext context;

private:
    int wanted_;
    std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> waits_for_more_{};
    std::vector<std::thread> threads_{};
};

class Lifeline;

class WorkerCore {
public:
    struct Facts {
        int number = 0;
        int generation = 1;
        Model model = Model::Async;
        Lifeline* lifeline = nullptr;  ///< ends the process where tasks do not let its thread go; nullptr: nothing does
    };

    /// `home`: the loop that the worker's coroutines run in; nullptr: tasks get one of their own, with a thread.  In
    /// model fork there are none.  `shares`: what it has in common with other workers; nullptr: nothing.
    WorkerCore(const Facts& facts, EndableContext* home, const ServiceShares* shares)
        : facts_{facts}, home_{home}, shares_{shares} {}
    ~WorkerCore() { end(); }
    WorkerCore(const WorkerCore&) = delete;
    WorkerCore& operator=(const WorkerCore&) = delete;

    [[nodiscard]] Worker& worker() noexcept { return worker_; }
    [[nodiscard]] const Facts& facts() const noexcept { return facts_; }
    [[nodiscard]] const ServiceShares* shares() const noexcept { return shares_; }
    [[nodiscard]] Bus& bus();  ///< see Worker

    [[nodiscard]] bool draining() const noexcept { return draining_.load(std::memory_order_relaxed); }
    void drain() noexcept { draining_.store(true, std::memory_order_relaxed); }

    /// Where tasks run, and where what blocks does.  Throws std::logic_error in model fork: `what` needs it.
    [[nodiscard]] boost::asio::io_context& loop(const char* what);
    [[nodiscard]] boost::asio::io_context& pool();

    void spawn(awaitable<void> task);

    /// Has `end` called at a fast stop, in the worker's thread; at once if that has begun.
    using AtFastStop = std::list<std::function<void()>>::iterator;
    [[nodiscard]] AtFastStop at_fast_stop(std::function<void()> end);
    void forget(AtFastStop place) noexcept;
    void hurry();

    /// The worker serves: tasks may begin.
    void start();

    /// Ends what tasks wait for, and calls `done` when they have had time to end.  One that goes on is destroyed with
    /// its loop.  For the thread of their loop.
    void end_tasks(std::function<void()> done);

    /// Ends the tasks that have a thread of their own, and waits for what runs in one.
    void end() noexcept;

private:
    void begin(awaitable<void> task);
    void tell_tasks_to_end(int turns, std::function<void()> done);
    void task_ended(const std::exception_ptr& failure) const noexcept;
    void refuse_in_fork(const char* what) const;

    Facts facts_;
    EndableContext* home_;
    const ServiceShares* shares_;
    Worker worker_{*this};
    std::atomic<bool> draining_{false};
    std::list<boost::asio::cancellation_signal> tasks_{};  ///< the loop's
    bool tasks_end_ = false;                               ///< likewise
    bool ended_ = false;

    std::mutex making_{};  ///< for what follows
    bool started_ = false;
    std::optional<Bus> bus_{};
    std::optional<LoopThreads> own_loop_{};
    std::optional<LoopThreads> pool_{};

    std::mutex stopping_{};  ///< likewise
    bool hurried_ = false;
    std::list<std::function<void()>> at_fast_stop_{};
};

/// Throws std::invalid_argument where Worker::connect() would.
void check_outbound(const std::string& endpoint);

/// Worker::connect().
[[nodiscard]] awaitable<boost::asio::generic::stream_protocol::socket> connect_outbound(
    WorkerCore& core, std::string endpoint, std::chrono::milliseconds patience);

/// Ends the core before what was declared ahead of this goes: what tasks use.
class TasksEnd {
public:
    explicit TasksEnd(WorkerCore& core) noexcept : core_{core} {}
    ~TasksEnd() { core_.end(); }
    TasksEnd(const TasksEnd&) = delete;
    TasksEnd& operator=(const TasksEnd&) = delete;

private:
    WorkerCore& core_;
};

}  // namespace preforkd
