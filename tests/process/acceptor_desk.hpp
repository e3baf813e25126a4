#pragma once
// An acceptor to be tested.
#include <sys/socket.h>

#include <cerrno>
#include <functional>
#include <utility>
#include <vector>

#include "daemon/worker/accept/acceptor.hpp"
#include "daemon/worker/loop/epoll_reactor.hpp"
#include "tests/process/reactors.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd::testing {

using namespace std::chrono_literals;

/// A worker's acceptor whose clients are served until the test lets them go.
struct Desk {
    explicit Desk(AcceptorSettings settings = {.limit = 1024}, bool inherited = false, ListenSettings listen = {})
        : acceptor{reactor, record, with_hooks(std::move(settings))} {
        listener.fd = listen_on_loopback();
        listener.inherited = inherited;
        listener.settings = std::move(listen);
        listener.local = local_endpoint(listener.fd.get());
        address = SocketAddress::local_of(listener.fd.get());
        queue = listener.fd.get();
        acceptor.add(listener, 0, [this](int socket) { return take(socket); });
    }

    /// What a model does: accepts, and says that it has begun.
    int take(int socket) {
        ++takes;
        if (failure != 0 && losses != 0) {
            if (losses > 0) --losses;
            return failure;
        }
        UniqueFd accepted{::accept4(socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
        if (!accepted) return errno;
        acceptor.begun();
        state_while_serving = record.state;
        served.push_back(std::move(accepted));
        return 0;
    }
    void let_go() {
        served.pop_back();
        acceptor.ended();
    }

    AcceptorSettings with_hooks(AcceptorSettings settings) {
        settings.ask_sibling = [this] { ++siblings_asked; };
        settings.ask_retirement = [this] { ++retirements; };
        settings.finished = [this] { ++finished; };
        settings.awake = [] {};
        return settings;
    }

    void clients_come(int how_many) {
        for (int n = 0; n < how_many; ++n) clients.push_back(connect_to(address));
    }
    [[nodiscard]] bool in_queue() { return is_registered(reactor.epoll_fd(), queue); }
    [[nodiscard]] bool play(const std::vector<Act>& acts) { return testing::play(reactor, acts); }
    [[nodiscard]] std::function<bool()> serves(std::size_t how_many) {
        return [this, how_many] { return served.size() == how_many; };
    }

    EpollReactor reactor{};
    WorkerRecord record{};
    Listener listener{};
    SocketAddress address{};
    int queue = -1;
    int failure = 0;  ///< what takes fail with
    int losses = -1;  ///< how many do; -1: each
    int takes = 0;
    int siblings_asked = 0;
    int retirements = 0;
    int finished = 0;
    WorkerState state_while_serving{};
    std::vector<UniqueFd> served{};
    std::vector<UniqueFd> clients{};
    Acceptor acceptor;
};

/// An act that comes a little later: what must not happen had its chance.
inline Act after_a_while(std::function<void()> then) {
    return {.when = [until = Clock::now() + 50ms] { return Clock::now() > until; }, .then = std::move(then)};
}

}  // namespace preforkd::testing
