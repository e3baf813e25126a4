#pragma once
// What a handler has of its worker: tasks beside its clients, timers, threads for what blocks, and what it shares with
// the other workers.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "preforkd/bus.hpp"
#include "preforkd/coroutine_frame.hpp"
#include "preforkd/model.hpp"
#include "preforkd/shared.hpp"

namespace preforkd {

using boost::asio::awaitable;

class OutboundPool;
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

    /// Whether it has been told to leave; see Handler::worker_draining().  From any thread; in a child of model fork,
    /// and in serve() of a BlockingHandler in model serial, it is draining() of the connection that tells.
    [[nodiscard]] bool draining() const noexcept;

    /// Of the loop in which tasks run, for timers and I/O objects of the handler's own; it outlives the handler.  What
    /// a function that is posted there throws ends the worker.
    [[nodiscard]] boost::asio::any_io_executor executor();

    /// Runs `task` beside the clients, from when the worker serves.  From any thread.
    ///
    /// It keeps no worker from leaving: when the last client has gone, what it waits for ends with operation_aborted,
    /// and then worker_leaving() is called; a task that goes on, or waits for something else, is destroyed where it
    /// waits, before the handler is.  What it throws ends the task and nothing else; a line of the log, of level error,
    /// says so.  One that has to go on catches what may happen in a round of its loop, but not the end of a wait:
    ///
    ///     while (!worker.draining()) {
    ///         try {
    ///             co_await refresh();
    ///         } catch (const std::exception& error) { ... }
    ///         timer.expires_after(1min);
    ///         co_await timer.async_wait(boost::asio::use_awaitable);
    ///     }
    ///
    /// draining() is true from the beginning of the drain, while clients may still be served.  Where tasks do not let
    /// their thread go within 2 s of that end, as those of `a && b` that catch it (Asio tells each of them again and
    /// again, without a wait), the worker exits without worker_leaving(), and a line of the log says so.
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

    /// At most `size` such connections, kept for who needs one next: see OutboundPool, whose header it takes.  None is
    /// made yet.  Throws std::invalid_argument for what connect() would not take, and std::logic_error in model fork.
    [[nodiscard]] OutboundPool pool(std::string endpoint, std::size_t size);

    /// One T for all workers of the service, over reloads and upgrades; it is there as long as the worker.  A handler
    /// that calls this says so, since the memory is made before its worker is forked:
    ///
    ///     static constexpr bool uses_shared_memory = true;
    ///     ...
    ///     auto& hits = worker.shared<std::atomic<long>>("hits");
    ///
    /// It begins as zeros: no constructor runs, and no destructor.  Many processes and threads use it at once, and one
    /// of them may be killed at any instruction, so it is made of lock-free atomics: a mutex would stay locked.  It
    /// holds no pointers: an address means nothing in another process.  What workers write nobody checks.
    ///
    /// A T of another size, or of another version, is another object: workers that a reload or an upgrade starts with
    /// it find zeros, the log says so, and the workers before keep theirs as long as they live.  A restart begins anew,
    /// and so does another --user.  Children of model fork share it, too.  Without a master (a test, a Server,
    /// --workers 0) it is that server's own.
    ///
    /// `name`: at most 47 bytes.  `version`: unless it is given, T::version, if T has that.  Throws
    /// std::invalid_argument, std::length_error where the service has 64 objects already, and std::logic_error where
    /// the handler does not say that it uses them.  From any thread.
    template <class T>
    [[nodiscard]] T& shared(std::string_view name, std::uint32_t version = detail::shared_version<T>()) {
        detail::check_shareable<T>();
        return *std::launder(static_cast<T*>(find_shared(name, sizeof(T), version)));
    }

    /// Its end of the bus; subscriptions last as long as the worker.  Throws std::logic_error where the handler does
    /// not say that it uses the bus.  From any thread.
    [[nodiscard]] Bus& bus();

private:
    friend class Bus;
    [[nodiscard]] void* find_shared(std::string_view name, std::size_t bytes, std::uint32_t version);

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
