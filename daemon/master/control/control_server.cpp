#include "daemon/master/control/control_server.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "common/base/sys_error.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t listener_id = 0;
constexpr int accepts_per_turn = 16;
constexpr auto rest_period = 500ms;

/// A peer that waits for an outcome is heard only when it has gone, which epoll tells unasked.
std::uint32_t events_of(ControlPeer::Phase phase) {
    switch (phase) {
        case ControlPeer::Phase::Asking: return EPOLLIN;
        case ControlPeer::Phase::Waiting: return 0;
        case ControlPeer::Phase::Answering: return EPOLLOUT;
        case ControlPeer::Phase::Leaving: return EPOLLIN;
    }
    return 0;
}

/// For a connection that becomes no peer: what fits is sent, and nothing is waited for.
void turn_away(int connection, const std::string& reason) {
    const std::string line = answer_line(Outcome{.ok = false, .sentence = reason});
    (void)::send(connection, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    // What it has asked already would, unread, make a reset of its end.
    std::array<char, longest_request_bytes> unheard;
    (void)::recv(connection, unheard.data(), unheard.size(), MSG_DONTWAIT);
}

}  // namespace

ControlServer::ControlServer(ControlListener listener, ControlDesk desk)
    : listener_{std::move(listener)}, desk_{std::move(desk)} {
    epoll_.watch(listener_.fd.get(), listener_id);
}

bool ControlServer::has_lost_its_file() const noexcept {
    return listener_.file && !is_socket_at(listener_.local.path, *listener_.file);
}

bool ControlServer::move_to(std::optional<ControlListener> again, Clock::time_point now) {
    if (!again || !epoll_.add(again->fd.get(), listener_id, EPOLLIN)) return false;
    accept_peers(now);
    epoll_.remove(listener_.fd.get());
    listener_ = std::move(*again);
    log(LogLevel::Notice,
        "the control socket's file was missing or replaced; bound again at " + to_string(listener_.local));
    return true;
}

void ControlServer::serve(Clock::time_point now) {
    for (const Id id : epoll_.wait_until(now)) {
        if (id == listener_id) {
            accept_peers(now);
        } else if (const auto peer = peers_.find(id); peer != peers_.end()) {
            serve_peer(peer, now);
        }
    }
}

void ControlServer::accept_peers(Clock::time_point now) {
    for (int left = accepts_per_turn; left > 0; --left) {
        UniqueFd connection{::accept4(listener_.fd.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
        if (!connection) {
            if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
            // Out of descriptors or memory: the socket would stay readable, and the loop never rest.
            log(LogLevel::Warning, "control: cannot accept a connection: {cause}", {{"cause", std::strerror(errno)}});
            epoll_.change(listener_.fd.get(), listener_id, 0);
            listen_again_ = now + rest_period;
            return;
        }
        if (!may_ask(connection.get())) continue;
        if (make_space())
            admit({std::move(connection), now});
        else
            turn_away(connection.get(), "too many wait for an outcome already; try again");
    }
}

bool ControlServer::may_ask(int connection) {
    ucred peer{};
    socklen_t size = sizeof peer;
    const bool known = ::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    if (known && (peer.uid == 0 || peer.uid == ::geteuid())) return true;
    turn_away(connection, "only root and the user of this daemon may ask");
    if (!std::exchange(said_refused_, true))
        log(LogLevel::Warning, "control: refused another user: uid {uid}, pid {peer_pid}",
            {{"uid", std::uint64_t{peer.uid}}, {"peer_pid", std::int64_t{peer.pid}}});
    return false;
}

bool ControlServer::make_space() {
    if (peers_.size() < most_peers) return true;
    auto quietest = peers_.end();
    for (auto peer = peers_.begin(); peer != peers_.end(); ++peer)
        if (!peer->second.waits_for() &&
            (quietest == peers_.end() || peer->second.quiet_since() < quietest->second.quiet_since()))
            quietest = peer;
    if (quietest == peers_.end()) return false;
    drop(quietest);
    return true;
}

void ControlServer::admit(ControlPeer admitted) {
    const Id id = ++last_id_;
    const ControlPeer& peer = peers_.emplace(id, std::move(admitted)).first->second;
    // One that cannot be watched, for want of memory, is sent away when its time is over.
    epoll_.add(peer.fd(), id, events_of(peer.phase()));
}

void ControlServer::drop(Peers::iterator peer) {
    // Not by closing alone: a child that was forked just now may hold a copy, and epoll goes by the description.
    epoll_.remove(peer->second.fd());
    peers_.erase(peer);
}

void ControlServer::serve_peer(Peers::iterator peer, Clock::time_point now) {
    switch (peer->second.phase()) {
        case ControlPeer::Phase::Asking: return hear(peer, now);
        case ControlPeer::Phase::Waiting: return settle(peer, false);
        case ControlPeer::Phase::Answering: return settle(peer, peer->second.send_more(now));
        case ControlPeer::Phase::Leaving: return settle(peer, peer->second.discard());
    }
}

void ControlServer::hear(Peers::iterator peer, Clock::time_point now) {
    ControlPeer& asking = peer->second;
    const auto refuse = [&](const std::string& reason) {
        settle(peer, asking.answer(answer_line(Outcome{.ok = false, .sentence = reason}), now));
    };
    switch (asking.hear()) {
        case ControlPeer::Heard::Part: return;
        case ControlPeer::Heard::Gone: return settle(peer, false);
        case ControlPeer::Heard::TooLong: return refuse("a request has at most 4096 bytes");
        case ControlPeer::Heard::Request: break;
    }
    try {
        ControlReply reply = desk_(parse_control_request(asking.line()));
        if (const Ticket* ticket = std::get_if<Ticket>(&reply)) {
            asking.wait_for(*ticket);
            return settle(peer, true);
        }
        settle(peer, asking.answer(std::move(std::get<std::string>(reply)), now));
    } catch (const std::exception& error) { refuse(error.what()); }
}

void ControlServer::settle(Peers::iterator peer, bool goes_on) {
    const ControlPeer& asking = peer->second;
    if (!goes_on || !epoll_.change(asking.fd(), peer->first, events_of(asking.phase()))) drop(peer);
}

void ControlServer::maintain(Clock::time_point now) {
    if (has_passed(listen_again_, now)) {
        listen_again_.reset();
        epoll_.change(listener_.fd.get(), listener_id, EPOLLIN);
    }
    for (auto peer = peers_.begin(); peer != peers_.end();) {
        const auto current = peer++;
        if (has_passed(current->second.patience(), now)) drop(current);
    }
}

Deadline ControlServer::next_deadline() const {
    Deadline next = listen_again_;
    for (const auto& [id, peer] : peers_) next = earlier(next, peer.patience());
    return next;
}

void ControlServer::answer_waiting(const std::function<std::optional<Outcome>(Ticket)>& outcome_of) {
    const auto now = Clock::now();
    for (auto peer = peers_.begin(); peer != peers_.end();) {
        const auto current = peer++;
        const auto ticket = current->second.waits_for();
        const auto outcome = ticket ? outcome_of(*ticket) : std::nullopt;
        if (outcome) settle(current, current->second.answer(answer_line(*outcome), now));
    }
}

void ControlServer::conclude(Ticket ticket, const Outcome& outcome) {
    answer_waiting([&](Ticket waited_for) { return waited_for == ticket ? std::optional{outcome} : std::nullopt; });
}

void ControlServer::close(Ticket ticket, const Outcome& outcome) {
    for (auto& [id, peer] : peers_)
        if (peer.phase() == ControlPeer::Phase::Asking) (void)peer.answer(farewell_line(), Clock::now());
    answer_waiting([&](Ticket waited_for) {
        return waited_for == ticket ? outcome : Outcome{.ok = false, .sentence = std::string{has_stopped}};
    });
    peers_.clear();
    remove_socket_file(listener_);
}

ControlHandover ControlServer::handover() const {
    ControlHandover all{.listener = listener_.fd.get(), .local = listener_.local, .file = listener_.file};
    for (const auto& [id, peer] : peers_) all.peers.emplace_back(peer.fd(), peer.state());
    return all;
}

void ControlServer::adopt(UniqueFd connection, PeerState state, Clock::time_point now) {
    admit({std::move(connection), std::move(state), now});
}

}  // namespace preforkd
