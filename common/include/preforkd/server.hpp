#pragma once
// A server object inside a program of your own: what socketserver's objects do, without a master.
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "preforkd/endpoint.hpp"
#include "preforkd/handlers.hpp"

namespace preforkd {

/// Thrown by a handler to end more than its request, as SystemExit does in Python.  handle_error() is not called; in
/// the models async and serial serve_forever() ends and throws it on, in thread and fork that thread or child ends.
struct ServerExit {
    int code = 0;
};

struct ServerSettings {
    std::string listen = "tcp://127.0.0.1:0";  ///< as --listen takes it: an endpoint, and keys such as `backlog=5`
    std::optional<Model> model{};              ///< unset: the handler's own
    std::optional<std::size_t>
        connections{};  ///< served at once; unset: async 1024, thread and fork 40; serial always 1

    // Zero means never.
    std::chrono::milliseconds idle_timeout{60'000};  ///< how long a request waits for a silent client
    std::chrono::milliseconds stop_timeout{30'000};  ///< how long shutdown() leaves to the requests that run

    std::size_t line_max_bytes = std::size_t{1} << 20;  ///< of a line that a handler reads; zero: any length
    bool log_connections = false;                       ///< one line for each client
    HandlerOptions handler{};
};

/// Binds and listens when it is made, and serves while serve_forever() or handle_request() runs, in the thread that
/// calls it.
///
/// The handler is made once, with the server, and called from the serving thread; in model thread from the requests'
/// threads, in model fork in a child that has a copy of it.  Its hooks are those of Handler: verify(), handle_error(),
/// handle_timeout(), service_actions().  No signal's action, mask or handler is changed in the calling process, and
/// children that it made itself stay its own.  Model fork forks the calling process: what other threads hold locked
/// stays locked in the child.  Where the program ignores SIGCHLD, or waits for every child, it serves on, and says once
/// that it cannot know how its children end.
/// It puts on no sandbox, as workers of a daemon do: what a process has put on stays on, and this one is not ours.
class Server {
public:
    /// Throws std::invalid_argument for settings that cannot be, std::runtime_error with one sentence where the kernel
    /// refuses (an address in use is tried for 2.5 s), and what the handler's constructor throws.  Leaks nothing then.
    explicit Server(const HandlerEntry& handler, ServerSettings settings = {});

    /// As server_close().
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Serves until shutdown(), then returns when the requests that run have ended.  After stop_timeout those that wait
    /// for their client fail, and 2 s later children (fork) are killed and threads left behind, with the handler that
    /// they use; in serial and async a request that does not return keeps this from returning.  A lingering close may
    /// add 500 ms.  May be called again.  Throws std::logic_error when it is closed or already serving.
    void serve_forever();

    /// Serves one client, or datagram, to its end; its connection is closed 20 ms later if it has not closed it itself.
    /// False: none came within `patience` (zero: for ever), or shutdown().
    [[nodiscard]] bool handle_request(std::chrono::milliseconds patience = std::chrono::milliseconds::zero());

    /// Ends serve_forever() and waits until it has returned.  Safe from every thread: before serve_forever() begins, it
    /// makes that return at once; from a handler of this server it only asks.
    void shutdown();

    /// Closes the socket, and removes the Unix path that was made for it.  Serving must have ended.  Repeating it is
    /// harmless.
    void server_close() noexcept;

    /// Where it listens, with port 0 resolved.  Of a host name with several addresses the first, as fd().
    [[nodiscard]] const Endpoint& server_address() const noexcept;

    /// The listening socket, borrowed, for poll(2); -1 when closed.
    [[nodiscard]] int fd() const noexcept;

private:
    class State;
    std::unique_ptr<State> state_;
};

}  // namespace preforkd
