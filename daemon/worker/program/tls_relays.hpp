#pragma once
// All relays of a worker, in its loop.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "common/base/epoll_set.hpp"
#include "daemon/worker/loop/linger_queue.hpp"
#include "daemon/worker/loop/reactor.hpp"
#include "daemon/worker/program/tls_relay.hpp"

namespace preforkd {

/// What a connection that is relayed takes of its worker, until both its program and its relay have ended.
struct RelayedClient {
    explicit RelayedClient(const std::shared_ptr<Acceptor>& its_acceptor) noexcept : acceptor{its_acceptor} {}
    ~RelayedClient() {
        account.close();
        place.give_back();
        if (const auto open = acceptor.lock())
            open->ended(client, account.outcome());  // else the worker is leaving, and has cut it
    }
    RelayedClient(const RelayedClient&) = delete;
    RelayedClient& operator=(const RelayedClient&) = delete;

    std::weak_ptr<Acceptor> acceptor;
    CountedClient client{};
    ConnectionAccount account{};
    CountedPlace place{};
};

class TlsRelays final : public Unstarted {
public:
    /// Starts a program, for a client whose handshake is over; returns our end of a socket that is connected to it.
    using Begin = std::function<UniqueFd(TlsRelay& relay, std::shared_ptr<RelayedClient> client)>;

    TlsRelays(Reactor& reactor, Acceptor& acceptor, LingerQueue& linger, Begin begin);
    ~TlsRelays() override;
    TlsRelays(const TlsRelays&) = delete;
    TlsRelays& operator=(const TlsRelays&) = delete;

    /// A client of a listener that speaks TLS; counted by the acceptor, which hears when it has gone.
    void start(AcceptedStream stream);

    void cancel() override;

private:
    using Key = std::uint64_t;
    struct Entry {
        std::shared_ptr<RelayedClient> client;
        TlsRelay relay;
        std::unique_ptr<Timer> deadline{};  ///< of the handshake; made when that does not come at once
        std::optional<std::uint32_t> heard_of_client{};
        std::optional<std::uint32_t> heard_of_program{};
    };

    void go_on(Key key);
    void begin_program(Entry& entry);
    void listen_to(int socket, Key key, std::optional<std::uint32_t>& heard, std::optional<std::uint32_t> wanted);
    void finish(Key key);

    Reactor& reactor_;
    std::shared_ptr<Acceptor> acceptor_;  ///< owns nothing: until this ends, which the acceptor keeps
    LingerQueue& linger_;
    Begin begin_;
    EpollSet sockets_{};
    std::map<Key, Entry> entries_{};  // their addresses stay
    Key last_key_ = 0;
};

}  // namespace preforkd
