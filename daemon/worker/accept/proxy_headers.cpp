#include "daemon/worker/accept/proxy_headers.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::milliseconds default_timeout = 3s;  // what the specification has as the least

ssize_t receive(int fd, std::span<char> into, int flags) noexcept {
    ssize_t size;
    do size = ::recv(fd, into.data(), into.size(), flags | MSG_DONTWAIT);
    while (size == -1 && errno == EINTR);
    return size;
}

}  // namespace

ProxyHeaders::ProxyHeaders(const Listener& listener, Acceptor& acceptor, Then then)
    : listener_{listener},
      acceptor_{acceptor},
      then_{std::move(then)},
      refusals_{listener, acceptor.reactor(), LogLevel::Warning,
                "closed a connection from {peer} to {listener} without a valid PROXY header: {cause}; so far {total}"} {
}

bool ProxyHeaders::expects(const SocketAddress& peer) const noexcept {
    return has_to_announce(peer, *listener_.settings.proxy);
}

void ProxyHeaders::read(TakenStream connection, const SocketAddress& balancer) {
    pending_.push_front({.connection = std::move(connection), .balancer = balancer});
    hear(pending_.begin());
}

/// What has come belongs to the header as long as that is not whole, so it is taken from the socket, which else would
/// stay readable.
void ProxyHeaders::hear(Place pending) {
    std::array<char, longest_proxy_header_bytes> space;
    for (;;) {
        const std::span<char> left = std::span{space}.first(space.size() - pending->heard.size());
        const ssize_t size = receive(pending->connection.fd.get(), left, MSG_PEEK);
        if (size == -1 && errno == EAGAIN) {
            // On a Unix socket an urgent byte, which is in no header, would wake us again and again.  Source: MSG_OOB,
            // unix(7).
            char urgent = 0;
            const bool came = pending->timer && receive(pending->connection.fd.get(), {&urgent, 1}, MSG_OOB) == 1;
            return came ? refuse(pending, "there was urgent data in it") : wait(pending);
        }
        if (size <= 0) return refuse(pending, size == 0 ? "the connection ended before it" : "the connection broke");
        if (parse(pending, {space.data(), static_cast<std::size_t>(size)})) return;
    }
}

/// Whether that was its end, one way or the other.
bool ProxyHeaders::parse(Place pending, std::string_view more) {
    const std::size_t before = pending->heard.size();
    pending->heard += more;
    auto parsed = parse_proxy_header(pending->heard, SOCK_STREAM);
    if (const auto* const invalid = std::get_if<ProxyInvalid>(&parsed)) return refuse(pending, invalid->reason), true;
    auto* const header = std::get_if<ProxyHeader>(&parsed);
    const std::size_t size = (header != nullptr ? header->size_bytes : pending->heard.size()) - before;
    std::array<char, longest_proxy_header_bytes> taken;
    if (receive(pending->connection.fd.get(), std::span{taken}.first(size), 0) != static_cast<ssize_t>(size))
        return refuse(pending, "the connection broke"), true;
    if (header != nullptr) finish(pending, *header);
    return header != nullptr;
}

void ProxyHeaders::wait(Place pending) {
    if (!pending->timer) {
        pending->timer = acceptor_.reactor().make_timer();
        pending->timer->set(listener_.settings.proxy_timeout.value_or(default_timeout), [this, pending] {
            refuse(pending, "it did not come within proxy-timeout=", ConnectionOutcome::IdleTimeout);
        });
        try {
            acceptor_.reactor().watch(pending->connection.fd.get(), [this, pending] { hear(pending); });
        } catch (const std::system_error& error) {
            log(LogLevel::Error, "cannot wait for a PROXY header: {cause}", {{"cause", error.what()}});
            return drop(pending, ConnectionOutcome::Error);
        }
    }
    acceptor_.wait_for_client();
}

ProxyHeaders::Pending ProxyHeaders::take(Place pending) {
    if (pending->timer) acceptor_.reactor().forget(pending->connection.fd.get());
    Pending taken = std::move(*pending);
    pending_.erase(pending);
    return taken;
}

void ProxyHeaders::finish(Place pending, ProxyHeader& header) {
    const bool came_at_once = pending->timer == nullptr;
    Pending taken = take(pending);
    std::unique_ptr<const Announced> announced;
    if (header.announces) {
        header.said.balancer = taken.balancer.to_endpoint(SOCK_STREAM);
        announced = std::make_unique<const Announced>(
            Announced{.peer = header.source, .local = header.destination, .said = std::move(header.said)});
    }
    const SocketAddress& peer = header.announces ? header.source : taken.balancer;
    const auto start = [&] { then_(std::move(taken.connection), peer, std::move(announced)); };
    if (came_at_once)
        start();
    else
        acceptor_.start(start);
}

/// A connection that says nothing is how a balancer looks whether somebody is there.
void ProxyHeaders::refuse(Place pending, const char* why, ConnectionOutcome outcome) {
    Pending refused = take(pending);
    if (refused.heard.empty() && outcome == ConnectionOutcome::Error) outcome = ConnectionOutcome::Ok;
    const CountedClient client = refused.connection.client;
    if (!refused.heard.empty())
        refusals_.add(refused.balancer, why);
    else
        log(LogLevel::Debug, "{peer} has come to {listener} and gone without a PROXY header: {cause}",
            {{"peer", address_of(refused.balancer.to_endpoint(SOCK_STREAM))},
             {"listener", to_string(listener_)},
             {"cause", why}});
    refused = {};  // its place is another's from now on
    acceptor_.refused(client, outcome);
}

void ProxyHeaders::drop(Place pending, ConnectionOutcome outcome) {
    const CountedClient client = take(pending).connection.client;
    acceptor_.refused(client, outcome);
}

void ProxyHeaders::cancel() {
    while (!pending_.empty()) drop(pending_.begin(), ConnectionOutcome::Cut);
}

}  // namespace preforkd
