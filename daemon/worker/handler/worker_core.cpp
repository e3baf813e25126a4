#include "daemon/worker/handler/worker_core.hpp"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "common/channel/stopping.hpp"
#include "common/process/thread_signals.hpp"
#include "daemon/worker/process/lifeline.hpp"
#include "daemon/worker/process/stack_report.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace asio = boost::asio;

namespace {
constexpr int pool_threads = 8;
constexpr int turns_of_the_end = 3;  // the first does not reach a task that is about to be resumed

/// Whether it is what a task that is told to end is told with.
bool is_the_end(const std::error_code& error) {
    return error == std::errc::operation_canceled;  // asio::error::operation_aborted as well
}
}  // namespace

void LoopThreads::start() {
    const ThreadSignals quiet;
    waits_for_more_.emplace(context.get_executor());
    while (threads_.size() < static_cast<std::size_t>(wanted_)) try {
            threads_.emplace_back([this] {
                const SignalStack for_an_overflow;
                context.run();
            });
        } catch (const std::system_error&) {
            if (threads_.empty()) throw;
            return;
        }
}

void LoopThreads::join() noexcept {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
}

void LoopThreads::stop() noexcept {
    context.stop();
    join();
    waits_for_more_.reset();
    context.end();
}

void WorkerCore::refuse_in_fork(const char* what) const {
    if (facts_.model == Model::Fork)
        throw std::logic_error{std::string{"Worker::"} + what +
                               " needs threads, which --model fork would lose: name the other models in `models`"};
}

asio::io_context& WorkerCore::loop(const char* what) {
    if (home_ != nullptr) return *home_;
    refuse_in_fork(what);
    const std::scoped_lock lock{making_};
    if (!own_loop_) {
        own_loop_.emplace(1);
        if (started_) own_loop_->start();
    }
    return own_loop_->context;
}

asio::io_context& WorkerCore::pool() {
    refuse_in_fork("offload()");
    const std::scoped_lock lock{making_};
    if (!pool_) {
        pool_.emplace(pool_threads);
        try {
            pool_->start();
        } catch (const std::system_error&) {
            pool_.reset();
            throw;
        }
    }
    return pool_->context;
}

void WorkerCore::start() {
    const std::scoped_lock lock{making_};
    started_ = true;
    if (own_loop_) own_loop_->start();
}

void WorkerCore::spawn(awaitable<void> task) {
    asio::post(loop("spawn()"), [this, task = std::move(task)]() mutable { begin(std::move(task)); });
}

WorkerCore::AtFastStop WorkerCore::at_fast_stop(std::function<void()> end) {
    const std::scoped_lock lock{stopping_};
    const AtFastStop place = at_fast_stop_.insert(at_fast_stop_.end(), std::move(end));
    if (hurried_) (*place)();
    return place;
}

void WorkerCore::forget(AtFastStop place) noexcept {
    const std::scoped_lock lock{stopping_};
    at_fast_stop_.erase(place);
}

void WorkerCore::hurry() {
    const std::scoped_lock lock{stopping_};
    if (std::exchange(hurried_, true)) return;
    for (const auto& end : at_fast_stop_) end();
}

void WorkerCore::begin(awaitable<void> task) {
    if (tasks_end_) return;
    const auto canceling = tasks_.emplace(tasks_.end());
    asio::io_context& home = loop("spawn()");
    asio::co_spawn(home, std::move(task),
                   asio::bind_cancellation_slot(canceling->slot(), [=, this, &home](const std::exception_ptr& failure) {
                       task_ended(failure);
                       // Its frame refers to it, and goes after this.
                       asio::post(home, [this, canceling] { tasks_.erase(canceling); });
                   }));
}

void WorkerCore::task_ended(const std::exception_ptr& failure) const noexcept {
    if (!failure) return;
    std::string cause = "something not derived from std::exception";
    try {
        std::rethrow_exception(failure);
    } catch (const boost::system::system_error& error) {
        if (tasks_end_ && is_the_end(error.code())) return;
        cause = error.what();
    } catch (const std::system_error& error) {  // connect()'s
        if (tasks_end_ && is_the_end(error.code())) return;
        cause = error.what();
    } catch (const std::exception& error) { cause = error.what(); } catch (...) {
    }
    log(LogLevel::Error, "a task of the handler's failed: {cause}", {{"cause", cause}});
}

void WorkerCore::end_tasks(std::function<void()> done) {
    tasks_end_ = true;
    if (facts_.lifeline == nullptr || tasks_.empty()) return tell_tasks_to_end(turns_of_the_end, std::move(done));
    // Of two tasks that a third awaits, `a && b`, each is told once and for all: one that catches that would spin.
    const auto limit = std::make_shared<std::optional<Lifeline::TaskLimit>>(std::in_place, *facts_.lifeline, fast_stop);
    tell_tasks_to_end(turns_of_the_end, [limit, done = std::move(done)] {
        limit->reset();
        done();
    });
}

/// Each turn is for what the tasks do about the one before.
void WorkerCore::tell_tasks_to_end(int turns, std::function<void()> done) {
    if (turns == 0) return done();
    for (asio::cancellation_signal& task : tasks_) {
        task.emit(asio::cancellation_type::terminal);
        // Or else every later co_await throws at once, and a task that catches that never lets its thread go.
        // Source: boost/asio/cancellation_state.hpp, which keeps what came last.
        task.emit(asio::cancellation_type::none);
    }
    asio::post(loop("spawn()"),
               [this, turns, done = std::move(done)]() mutable { tell_tasks_to_end(turns - 1, std::move(done)); });
}

/// Nobody else but its tasks makes anything any more, and they may until they have ended.
void WorkerCore::end() noexcept {
    if (std::exchange(ended_, true)) return;
    const auto made = [this](std::optional<LoopThreads>& threads) {
        const std::scoped_lock lock{making_};
        return threads ? &*threads : nullptr;
    };
    if (LoopThreads* const own = made(own_loop_)) {
        if (started_) {
            asio::io_context& home = own->context;
            asio::post(home, [this, &home] { end_tasks([&home] { home.stop(); }); });
            own->join();
        }
        own->stop();
    }
    if (LoopThreads* const pool = made(pool_)) pool->stop();
}

// --- What handlers see of it ---

int Worker::number() const noexcept { return core_.facts().number; }
int Worker::generation() const noexcept { return core_.facts().generation; }
Model Worker::model() const noexcept { return core_.facts().model; }
bool Worker::draining() const noexcept { return core_.draining(); }
asio::any_io_executor Worker::executor() { return core_.loop("executor()").get_executor(); }
void Worker::spawn(awaitable<void> task) { core_.spawn(std::move(task)); }
awaitable<asio::generic::stream_protocol::socket> Worker::connect(std::string endpoint,
                                                                  std::chrono::milliseconds patience) {
    return connect_outbound(core_, std::move(endpoint), patience);
}

namespace {

/// The loop of a client in model thread may be gone as soon as its coroutine has been resumed: until the pool's thread
/// is done with that loop, `handing_over` is locked.
awaitable<void> run_in(asio::io_context& pool, std::function<void()> call) {
    return asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
        [&pool, call = std::move(call)]<class Resume>(Resume&& resume) mutable {
            // As long as this goes on elsewhere, the loop that waits for it has work.
            auto waits = asio::make_work_guard(resume);
            asio::post(pool, [call = std::move(call), waits = std::move(waits), resume = std::forward<Resume>(resume),
                              handing_over = std::make_shared<std::mutex>()]() mutable {
                std::exchange(call, nullptr)();
                const std::scoped_lock lock{*handing_over};
                asio::post(waits.get_executor(), [resume = std::move(resume), handing_over]() mutable {
                    { const std::scoped_lock handed_over{*handing_over}; }
                    std::move(resume)();
                });
                waits.reset();
            });
        },
        asio::use_awaitable);
}

/// Calls it, and leaves what it throws in `failure`.
std::function<void()> noting_failure(std::function<void()> call, const std::shared_ptr<std::exception_ptr>& failure) {
    return [call = std::move(call), failure] {
        try {
            call();
        } catch (...) { *failure = std::current_exception(); }
    };
}

}  // namespace

awaitable<void> Worker::run_elsewhere(std::function<void()> call) {
    const auto failure = std::make_shared<std::exception_ptr>();
    const std::function<void()> noting = noting_failure(std::move(call), failure);
    co_await run_in(core_.pool(), noting);
    if (*failure) std::rethrow_exception(*failure);
}

}  // namespace preforkd
