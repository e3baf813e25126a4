#include "daemon/worker/program/tls_relays.hpp"

#include <system_error>
#include <utility>
#include <vector>

#include "common/base/sys_error.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

TlsRelays::TlsRelays(Reactor& reactor, Acceptor& acceptor, LingerQueue& linger, Begin begin)
    : reactor_{reactor}, acceptor_{std::make_shared<char>(), &acceptor}, linger_{linger}, begin_{std::move(begin)} {
    reactor_.watch(sockets_.fd(), [this] {
        for (const Key key : sockets_.wait_until(Clock::now())) go_on(key);
    });
}

TlsRelays::~TlsRelays() {
    acceptor_ = nullptr;  // before the clients that it would hear of
    reactor_.forget(sockets_.fd());
}

void TlsRelays::start(AcceptedStream stream) {
    auto client = std::make_shared<RelayedClient>(acceptor_);
    client->client = stream.client;
    client->account = std::move(stream.account);
    client->place = std::move(stream.place);
    const Key key = ++last_key_;
    try {
        entries_.try_emplace(key, client, TlsRelay{std::move(stream), client->account});
    } catch (const std::exception& error) {
        client->account.failed(ConnectionOutcome::Error);
        return log(LogLevel::Error, "cannot serve a client: {cause}", {{"cause", error.what()}});
    }
    client.reset();
    go_on(key);
    acceptor_->wait_for_client();  // no handler runs in this process
}

void TlsRelays::go_on(Key key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;  // gone since the kernel reported it
    Entry& entry = found->second;
    TlsRelay& relay = entry.relay;
    try {
        relay.act();
        if (relay.state() == TlsRelay::State::Relaying && !relay.has_program()) {
            begin_program(entry);
            relay.act();
        }
        if (relay.state() == TlsRelay::State::Over) return finish(key);
        if (relay.state() == TlsRelay::State::Handshaking && !entry.deadline) {
            entry.deadline = reactor_.make_timer();
            entry.deadline->set(relay.tls().handshake_timeout(), [this, key] {
                entries_.at(key).relay.give_up();
                finish(key);
            });
        }
        listen_to(relay.stream().fd.get(), key, entry.heard_of_client, relay.wanted_of_client());
        if (relay.has_program()) listen_to(relay.program(), key, entry.heard_of_program, relay.wanted_of_program());
    } catch (const std::exception& error) {
        log(LogLevel::Error, "cannot serve a client: {cause}", {{"cause", error.what()}});
        entry.client->account.failed(ConnectionOutcome::Error);
        finish(key);
    }
}

void TlsRelays::begin_program(Entry& entry) {
    entry.deadline = nullptr;
    entry.relay.connect(begin_(entry.relay, entry.client));
}

/// A socket of which nothing is wanted is none of the set: it would tell of its errors for ever.
void TlsRelays::listen_to(int socket, Key key, std::optional<std::uint32_t>& heard,
                          std::optional<std::uint32_t> wanted) {
    if (heard == wanted) return;
    const bool done = !wanted ? sockets_.remove(socket)
                      : heard ? sockets_.change(socket, key, *wanted)
                              : sockets_.add(socket, key, *wanted);
    if (!done) throw_errno("wait for a client");
    heard = wanted;
}

void TlsRelays::finish(Key key) {
    auto node = entries_.extract(key);
    Entry& entry = node.mapped();
    AcceptedStream& stream = entry.relay.stream();
    if (entry.heard_of_client) sockets_.remove(stream.fd.get());
    if (entry.heard_of_program) sockets_.remove(entry.relay.program());
    linger_.finish(std::move(stream.fd), stream.linger, entry.relay.output_ended());
}

void TlsRelays::cancel() {
    std::vector<Key> keys;
    for (const auto& [key, entry] : entries_) keys.push_back(key);
    for (const Key key : keys) {
        entries_.at(key).relay.hurry();
        go_on(key);
    }
}

}  // namespace preforkd
