#pragma once
// What a handler has of its worker: tasks beside its clients, timers, threads for what blocks.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "preforkd/model.hpp"

namespace preforkd {

using boost::asio::awaitable;

class WorkerCore;

/// The worker that a handler serves in.  Handler::worker_started(Worker&) is given it, and it lasts as long as the
/// handler does:
///
///     void worker_started(Worker& worker) override {
///         worker_ = &worker;
///         worker.spawn(refresh());
///     }
///
/// Nothing of it is made before it is asked for.  Where a task runs depends on the model:
///
///   async             in the worker's one thread, as all coroutines of its clients
///   serial            likewise for a handler of coroutines
///   serial, thread    for others, and beside them, in a thread of its own: what both use has to be guarded
///   fork              nowhere: executor(), spawn() and offload() throw std::logic_error, since a fork would lose
///   threads
///                     and share sockets
///
/// So a handler that needs tasks names the models that it allows.
class Worker {
public:
    explicit Worker(WorkerCore& core) noexcept : core_{core} {}
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    /// From 1; a worker that replaces another has the lowest number that is free.  0: there is no master (--workers 0,
    /// Server).
    [[nodiscard]] int number() const noexcept;
    [[nodiscard]] int generation() const noexcept;  ///< from 1; each reload and upgrade begins one
    [[nodiscard]] Model model() const noexcept;

    /// Whether it has been told to leave; see Handler::worker_draining().  From any thread; in a child of model fork it
    /// is Connection::draining() that tells.
    [[nodiscard]] bool draining() const noexcept;

    /// Of the loop in which tasks run, for timers and I/O objects of the handler's own; it outlives the handler.  What
    /// a function that is posted there throws ends the worker.
    [[nodiscard]] boost::asio::any_io_executor executor();

    /// Runs `task` beside the clients, from when the worker serves.  From any thread.
    ///
    /// It keeps no worker from leaving: when the last client has gone, what it waits for ends with operation_aborted,
    /// and then worker_leaving() is called; a task that waits for something else is destroyed before the handler is.
    /// What it throws ends the task and nothing else; a line of the log, of level error, says so.  One that has to go
    /// on catches what may happen in a round of its loop.
    void spawn(awaitable<void> task);

    /// Runs `call`, which may block, in one of 8 threads for that, and resumes the coroutine where it was: in its own
    /// thread, with what it has returned or thrown.  The 9th call at a time waits for one to return.  A call that runs
    /// cannot be canceled, and is waited for when the worker leaves, within --stop-timeout.
    ///
    ///     const auto rows = co_await worker.offload([&] { return database_.select(query); });
    ///
    /// One that captures by copy, such as a std::string, is given a name before, and then copied:
    ///
    ///     const auto call = [query] { return ask(query); };
    ///     const auto rows = co_await worker.offload(call);
    template <class Call>
    [[nodiscard]] auto offload(Call&& call) {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
        static_assert(std::is_lvalue_reference_v<Call> || std::is_trivially_destructible_v<Call>,
                      "GCC 12 destroys twice what a lambda expression behind co_await has captured by copy: capture by "
                      "reference, or give it a name before");
#endif
        const auto shared = std::make_shared<std::decay_t<Call>>(std::forward<Call>(call));
        return run_shared(std::function{[shared] { return (*shared)(); }});
    }

    /// Connects to `tcp://HOST:PORT`, `unix:///PATH` or `unix://@NAME`, to one address of HOST after the other, within
    /// `patience` together; zero: for ever.  In every model, also fork: the socket is one of the loop that the calling
    /// coroutine runs in, is not inherited by other programs, and its waits know no --idle-timeout.
    ///
    /// Throws std::system_error, `connect to tcp://db:5432: Connection refused`: with std::errc::timed_out, and at a
    /// fast stop, or when Asio's cancellation ends it, with std::errc::operation_canceled.  Each counts as
    /// `outbound_connections` or `outbound_failures` where Counter counts.
    [[nodiscard]] awaitable<boost::asio::generic::stream_protocol::socket> connect(
        std::string endpoint, std::chrono::milliseconds patience = std::chrono::seconds{10});

private:
    template <class Result>
    [[nodiscard]] awaitable<Result> run_shared(std::function<Result()> call) {
        // With names, for the same reason.
        if constexpr (std::is_void_v<Result>) {
            co_await run_elsewhere(std::move(call));
        } else {
            const auto result = std::make_shared<std::optional<Result>>();
            const std::function<void()> work = [call, result] { result->emplace(call()); };
            co_await run_elsewhere(work);
            co_return std::move(**result);
        }
    }
    [[nodiscard]] awaitable<void> run_elsewhere(std::function<void()> call);

    WorkerCore& core_;
};

}  // namespace preforkd
