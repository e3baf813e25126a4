#pragma once
// A datagram listener whose worker is the test, and clients that say and hear text.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/net/listener.hpp"
#include "daemon/worker/accept/acceptor.hpp"
#include "daemon/worker/loop/epoll_reactor.hpp"
#include "preforkd/datagram.hpp"
#include "preforkd/handler.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd::datagram_test {

/// A client with an address of its own, unless it is a Unix client that wants none.
class Client {
public:
    enum class Name { Own, None };

    explicit Client(const Listener& server, Name name = Name::Own)
        : server_{SocketAddress::local_of(server.fd.get())},
          fd_{check(::socket(server_.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")} {
        const sa_family_t automatic = AF_UNIX;  // an abstract name of the kernel's choice
        if (server_.family() == AF_UNIX && name == Name::Own)
            check(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&automatic), sizeof automatic), "bind");
    }

    void say(const std::string& text) const {
        const ssize_t sent = ::sendto(fd_.get(), text.data(), text.size(), 0, server_.data(), server_.size());
        if (sent == -1) throw_errno("sendto");
    }

    /// The next datagram; fails the test if none comes.
    [[nodiscard]] std::string hear() const {
        EXPECT_TRUE(testing::comes(fd_.get()));
        std::string text(70'000, '\0');
        const ssize_t size = ::recv(fd_.get(), text.data(), text.size(), 0);
        text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
        return text;
    }

    [[nodiscard]] bool hears_nothing() const { return !testing::is_readable(fd_.get()); }

private:
    SocketAddress server_;
    UniqueFd fd_;
};

/// The worker's side, without the worker.
struct Bench {
    explicit Bench(const std::string& endpoint)
        : listeners{bind_listeners({{.endpoint = parse_endpoint(endpoint)}}, std::nullopt)} {}
    ~Bench() { remove_socket_file(listener()); }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    [[nodiscard]] Listener& listener() { return listeners.front(); }

    /// Waits until something is queued, then takes it.
    int take_with(const Acceptor::Take& take) {
        EXPECT_TRUE(testing::comes(listener().fd.get()));
        return take(listener().fd.get());
    }

    std::vector<Listener> listeners;
    WorkerRecord record{};
    EpollReactor reactor{};
    Acceptor acceptor{reactor, record, {.limit = 1024}};
};

/// A handler of the test's own.
class Handling final : public DatagramHandler {
public:
    explicit Handling(std::function<void(Datagram&)> serves) : serves_{std::move(serves)} {}
    void serve(Datagram& request) override { serves_(request); }
    [[nodiscard]] bool verify(const Endpoint& peer) override { return verifies ? verifies(peer) : true; }
    void handle_error(const Endpoint&, std::exception_ptr) override {
        ++errors;
        if (fails_at_errors) throw std::runtime_error{"worse"};
    }

    std::function<bool(const Endpoint&)> verifies{};
    int errors = 0;
    bool fails_at_errors = false;

private:
    std::function<void(Datagram&)> serves_;
};

class SuspendedHandling final : public AsyncDatagramHandler {
public:
    using Serves = std::function<awaitable<void>(Datagram&)>;
    explicit SuspendedHandling(Serves serves) : serves_{std::move(serves)} {}
    awaitable<void> serve(Datagram& request) override { return serves_(request); }
    void handle_error(const Endpoint&, std::exception_ptr) override { ++errors; }

    int errors = 0;

private:
    Serves serves_;
};

}  // namespace preforkd::datagram_test
