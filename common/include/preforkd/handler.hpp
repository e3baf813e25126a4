#pragma once
// What a service author writes: one class, of one of four kinds.
#include <boost/asio/awaitable.hpp>

#include <exception>

#include "preforkd/connection.hpp"
#include "preforkd/model.hpp"

namespace preforkd {

class BlockingConnection;
class Datagram;
class Worker;

/// What every kind of handler may override.  One instance lives per worker process, made after the fork, also of a
/// class that serves both streams and datagrams; in the models thread and fork all its requests share it, at once
/// (thread) or each a copy of it (fork).
///
/// Python's socketserver calls these verify_request, handle_error, handle_timeout and service_actions; worker_started,
/// worker_draining and worker_leaving are what a pool adds.
class Handler {
public:
    using Model = preforkd::Model;  ///< so that a class may say `static constexpr auto models = {Model::Async};`

    Handler() = default;
    Handler(const Handler&) = delete;
    Handler& operator=(const Handler&) = delete;
    virtual ~Handler() = default;

    /// Whether to serve this client at all.  A refused one is closed (a datagram dropped) without a word.
    [[nodiscard]] virtual bool verify(const Endpoint& peer);

    /// A request ended with `error` in flight; only that request ends.  The default logs it with the peer.
    virtual void handle_error(const Endpoint& peer, std::exception_ptr error);

    /// A client was waited for longer than --idle-timeout; its request sees std::errc::timed_out.
    virtual void handle_timeout(const Endpoint& peer);

    /// The worker is awake and has nothing to do right now.  Not called on a timer: a pool at rest stays asleep.
    virtual void service_actions();

    /// Before the first client.  The default calls the one without an argument, which is there for handlers that need
    /// nothing of their worker.
    virtual void worker_started(Worker& worker);
    virtual void worker_started();

    /// The worker has been told to leave: it takes nobody new, and serves those it has to their end.  Called once, in
    /// the thread that accepts; in model serial that may be while serve() waits for its client.
    virtual void worker_draining();

    virtual void worker_leaving();  ///< after the last, unless the worker was killed
};

/// Serves stream connections with coroutines; default model async.  With async many serve() calls are suspended in it
/// at once, in one thread.  Needs no <thread>, no lock, no callback.
class StreamHandler : public Handler {
public:
    virtual awaitable<void> setup(Connection& client);  ///< before serve()
    /// After serve(), also when that has thrown, but not when setup() has.
    virtual awaitable<void> finish(Connection& client);

    /// Serves one connection; it is closed when this returns.
    ///
    /// GCC 12 miscompiles a coroutine without any local variable that has `co_await` as the bare condition of an if or
    /// a loop.  A member of a handler is mended, and so is one that takes a Connection&, Datagram&, Stream& or Worker&
    /// (coroutine_frame.hpp); another dies of SIGILL or SIGSEGV: give the result a name there,
    /// `const auto chunk = co_await next();`.
    virtual awaitable<void> serve(Connection& client) = 0;
};

/// Serves stream connections with ordinary blocking code; default model serial, and refused in async.
class BlockingHandler : public Handler {
public:
    virtual void setup(BlockingConnection& client);
    virtual void finish(BlockingConnection& client);
    virtual void serve(BlockingConnection& client) = 0;
};

/// Serves datagrams with ordinary code; default model serial.
class DatagramHandler : public Handler {
public:
    virtual void serve(Datagram& request) = 0;
};

/// Serves datagrams with coroutines; default model async.
class AsyncDatagramHandler : public Handler {
public:
    virtual awaitable<void> serve(Datagram& request) = 0;
};

}  // namespace preforkd
