#pragma once
// For tests of a handler: it serves in the test's own process, and the test is its client.
//
//     Kv kv;
//     preforkd::test::Client client{kv};
//     client.send("GET a\r\n");
//     EXPECT_EQ(client.receive(), "$-1\r\n");
//
// And one of datagrams:
//
//     Names names;
//     preforkd::test::Datagrams sender{names};
//     sender.send(question);
//     EXPECT_EQ(sender.receive(), answer);
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
    bool datagrams = false;                          ///< of a handler that serves both, what this is about
};

namespace detail {

[[nodiscard]] std::unique_ptr<StreamHandler> lend(StreamHandler& handler);
[[nodiscard]] std::unique_ptr<BlockingHandler> lend(BlockingHandler& handler);
[[nodiscard]] std::unique_ptr<DatagramHandler> lend(DatagramHandler& handler);
[[nodiscard]] std::unique_ptr<AsyncDatagramHandler> lend(AsyncDatagramHandler& handler);

/// Lends `handler` where it is of that kind.
template <class Kind, class Class>
void lend_as(MakeHandler<Kind>& make, Class& handler) {
    if constexpr (std::is_base_of_v<Kind, Class>)
        make = [&handler](const HandlerOptions&) { return lend(static_cast<Kind&>(handler)); };
}

/// The entry whose instance `handler` is, for connections, or for datagrams if it serves no others or is asked to.
template <HandlerClass Class>
[[nodiscard]] HandlerEntry entry_of(Class& handler, bool datagrams) {
    HandlerEntry entry{.name = "test"};
    preforkd::detail::fill_in<Class>(entry);
    if (!datagrams) {
        lend_as(entry.make_stream, handler);
        lend_as(entry.make_blocking, handler);
    }
    if (!entry.make_stream && !entry.make_blocking) {
        lend_as(entry.make_datagram, handler);
        lend_as(entry.make_async_datagram, handler);
    }
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
        : Service{detail::entry_of(handler, settings.datagrams), settings} {}
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
    friend class Datagrams;
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

/// A sender of datagrams to it, by a Unix socket with a name that the kernel chooses.  What takes longer than 10 s
/// throws std::runtime_error, as every error does.
class Datagrams {
public:
    /// `from`: who it pretends to be, `udp://192.0.2.7:4711` or `udp://[2001:db8::7]:4711`.
    explicit Datagrams(Service& service, std::string_view from = "");

    /// With a service of its own.
    template <class Class>
        requires std::is_base_of_v<Handler, Class>
    explicit Datagrams(Class& handler, ServiceSettings settings = {}, std::string_view from = "")
        : Datagrams{std::make_unique<Service>(handler, about_datagrams(settings)), from} {}

    ~Datagrams();
    Datagrams(const Datagrams&) = delete;
    Datagrams& operator=(const Datagrams&) = delete;

    void send(std::string_view datagram);

    /// The next one that the handler sends back.
    [[nodiscard]] std::string receive();

    /// The next one that it has sent back by the time that all threads and children of the test have done what they had
    /// to do; nullopt: none.
    [[nodiscard]] std::optional<std::string> try_receive();

    [[nodiscard]] Service& service() noexcept { return service_; }

private:
    Datagrams(std::unique_ptr<Service> own, std::string_view from);
    static ServiceSettings about_datagrams(ServiceSettings settings) noexcept {
        settings.datagrams = true;
        return settings;
    }

    std::unique_ptr<Service> own_{};
    Service& service_;
    std::string announcement_;  ///< before each datagram
    int socket_ = -1;
};

}  // namespace preforkd::test
