#pragma once
// Connections that a handler makes and keeps: Worker::pool().
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <chrono>
#include <memory>
#include <optional>

namespace preforkd {

using boost::asio::awaitable;

/// At most so many connections of a worker to one endpoint, each made when somebody needs it and kept for the next one:
///
///     preforkd::OutboundPool database_;
///     void worker_started(Worker& worker) override { database_ = worker.pool("tcp://db:5432", 4); }
///     ...
///     auto connection = co_await database_.lease();
///     co_await asio::async_write(*connection, asio::buffer(question), use_awaitable);
///     co_await asio::async_read(*connection, asio::buffer(answer), use_awaitable);
///
/// A copy is the same pool.  It may be used by coroutines in any thread of the worker, and lasts as long as that does:
/// what is kept is closed when its last copy has gone.
class OutboundPool {
public:
    using Socket = boost::asio::generic::stream_protocol::socket;

    class State;

    /// A connection that is the holder's alone.  When it goes it gives the connection back, and whoever waits gets it;
    /// but closes one that is of no use to others: it goes by an exception, in the middle of something, or something is
    /// there that nobody has read, or the other side has ended its output.  For the thread of the coroutine that has
    /// it, which ends before serve() returns.
    class Lease {
    public:
        Lease(Lease&& other) noexcept = default;
        Lease& operator=(Lease&& other) noexcept;
        ~Lease();

        /// Not after drop().
        [[nodiscard]] Socket& operator*() noexcept { return *socket_; }
        [[nodiscard]] Socket* operator->() noexcept { return &*socket_; }

        /// Closes the connection: the conversation was given up in the middle, without an exception.  The lease is
        /// over.
        void drop() noexcept;

    private:
        friend class State;
        explicit Lease(std::shared_ptr<State> pool) noexcept : pool_{std::move(pool)} {}

        std::shared_ptr<State> pool_;  ///< nullptr: the lease is over
        std::optional<Socket> socket_{};
    };

    /// One of nothing; what Worker::pool() returns is assigned to it.
    OutboundPool() = default;
    explicit OutboundPool(std::shared_ptr<State> state) noexcept : state_{std::move(state)} {}

    /// The connection that was given back last, or a new one; where all are lent, the next that comes back, in the
    /// order of those who wait.  All that takes at most `patience`; zero: for ever.  One that its other side has closed
    /// meanwhile is not given, but may be closed a moment later: a question that fails on it may be asked once more.
    ///
    /// Throws std::system_error as Worker::connect() does, and `wait for one of 4 connections to tcp://db:5432:
    /// Connection timed out`; with std::errc::operation_canceled at a fast stop, or when Asio's cancellation ends it.
    /// Throws std::logic_error where Worker::pool() has not been called.
    [[nodiscard]] awaitable<Lease> lease(std::chrono::milliseconds patience = std::chrono::seconds{10});

private:
    std::shared_ptr<State> state_{};
};

}  // namespace preforkd
