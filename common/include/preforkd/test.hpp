#pragma once
// For tests of a handler: it serves in the test's own process, and the test is its client.
//
//     Kv kv;
//     preforkd::test::Client client{kv};
//     client.send("GET a\r\n");
//     EXPECT_EQ(client.receive(), "$-1\r\n");
//
// Link preforkd::test.  Nothing here belongs to a framework of tests.
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "preforkd/handler_entry.hpp"

namespace preforkd::test {

struct ServiceSettings {
    std::optional<Model> model{};                    ///< unset: the handler's own
    std::chrono::milliseconds idle_timeout{60'000};  ///< zero means never
    std::chrono::milliseconds stop_timeout{30'000};  ///< what runs is left that long at a drain
    std::optional<std::size_t> connections{};        ///< served at once; unset: as ServerSettings
};

namespace detail {

[[nodiscard]] std::unique_ptr<StreamHandler> lend(StreamHandler& handler);
[[nodiscard]] std::unique_ptr<BlockingHandler> lend(BlockingHandler& handler);

/// The entry whose instance `handler` is.
template <class Class>
[[nodiscard]] HandlerEntry entry_of(Class& handler) {
    static_assert(std::is_base_of_v<StreamHandler, Class> || std::is_base_of_v<BlockingHandler, Class>,
                  "preforkd::test: the handler has to be a StreamHandler or a BlockingHandler");
    HandlerEntry entry{.name = "test"};
    preforkd::detail::fill_in<Class>(entry);
    if constexpr (std::is_base_of_v<StreamHandler, Class>)
        entry.make_stream = [&handler](const HandlerOptions&) { return lend(static_cast<StreamHandler&>(handler)); };
    else
        entry.make_blocking = [&handler](const HandlerOptions&) {
            return lend(static_cast<BlockingHandler&>(handler));
        };
    return entry;
}

}  // namespace detail

/// Serves one handler in a thread of this process, as a worker does: its model, hooks, timeouts, log lines.  In model
/// fork each client has a child, with a copy of the handler.  What the handler has may be looked at once stop() has
/// returned; before that its threads use it.
class Service {
public:
    /// `handler` must outlive it.  Throws as Server does.
    template <class Class>
        requires std::is_base_of_v<Handler, Class>
    explicit Service(Class& handler, const ServiceSettings& settings = {})
        : Service{detail::entry_of(handler), settings} {}
    /// Makes an instance: `Service{preforkd::handler<Kv>("kv")}`.
    explicit Service(const HandlerEntry& entry, const ServiceSettings& settings = {});
    /// As stop(), without a word.
    ~Service();
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    /// Tells it to leave, as a reload does, and returns at once: nobody new is served, and what runs has stop_timeout.
    void drain();

    /// The same, and waits until the last has ended, and worker_leaving() was called.  Throws what ended the service,
    /// such as an exception of worker_started().
    void stop();

    /// Lets `time` pass at once, as soon as all threads and children of the test have done what they had to do: so a
    /// test of a timeout waits for none, and one that ought to come after 60 s has not come after 59.  What waits in
    /// poll(), epoll_wait() or with a timer of Boost.Asio, in the handler's code too, and what asks CLOCK_MONOTONIC,
    /// std::chrono::steady_clock, is later then.  There is one clock in the process.
    ///
    /// What else waits until some point in time, such as std::condition_variable::wait_for(), waits longer if it began
    /// later: where it waits in vain.
    static void advance_clock(std::chrono::milliseconds time);

private:
    friend class Client;
    [[nodiscard]] const Endpoint& address() const noexcept;
    class State;
    std::shared_ptr<State> state_;
};

/// A client of it, by a Unix socket.  What takes longer than 10 s throws std::runtime_error, as every error does.
class Client {
public:
    /// `from`: who it pretends to be, `tcp://192.0.2.7:4711` or `tcp://[2001:db8::7]:4711`, for peer() and verify();
    /// empty: a Unix client without an address.
    explicit Client(Service& service, std::string_view from = "");

    /// With a service of its own.
    template <class Class>
        requires std::is_base_of_v<Handler, Class>
    explicit Client(Class& handler, const ServiceSettings& settings = {}, std::string_view from = "")
        : Client{std::make_unique<Service>(handler, settings), from} {}

    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void send(std::string_view bytes);
    void half_close();  ///< ends what it sends; receiving goes on
    void close();

    /// The next bytes, as soon as there are any; empty: the handler has ended its output, or the connection.
    [[nodiscard]] std::string receive();
    /// So many bytes; fewer at the end.
    [[nodiscard]] std::string receive(std::size_t bytes);
    /// Up to and with `delimiter`; less at the end.
    [[nodiscard]] std::string receive_until(std::string_view delimiter);
    [[nodiscard]] std::string receive_line() { return receive_until("\n"); }
    /// All that comes until the end.
    [[nodiscard]] std::string receive_all();

    [[nodiscard]] Service& service() noexcept { return service_; }

private:
    Client(std::unique_ptr<Service> own, std::string_view from);
    [[nodiscard]] bool receive_more();

    std::unique_ptr<Service> own_{};
    Service& service_;
    int socket_ = -1;
    std::string received_{};
};

}  // namespace preforkd::test
