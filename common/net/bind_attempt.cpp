#include "common/net/bind_attempt.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "common/base/sys_error.hpp"
#include "common/net/local_addresses.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

void set_option(int fd, int level, int option, int value, const char* attempt) {
    check(::setsockopt(fd, level, option, &value, sizeof value), attempt);
}

/// Accepted sockets start as copies of the listening one, so TCP_NODELAY and SO_KEEPALIVE here save two system calls
/// per connection.  Linux does so; tcp(7) and accept(2) do not promise it, a test does.
void set_connection_options(int fd, const ListenSettings& settings) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, settings.nodelay ? 1 : 0, "set TCP_NODELAY");
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, settings.keepalive ? 1 : 0, "set SO_KEEPALIVE");
}

/// SO_REUSEADDR lets us bind beside connections of a former daemon in TIME_WAIT; on TCP it never lets two listen.
void set_tcp_options(int fd, const ListenSettings& settings) {
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "set SO_REUSEADDR");
    set_connection_options(fd, settings);
}

/// Whether one socket serves both families is the sysctl net.ipv6.bindv6only unless we say so.
void set_v6only(int fd, const ListenSettings& settings) {
    const std::optional<bool> only = settings.endpoint.host.empty() ? settings.v6only.value_or(false) : settings.v6only;
    if (only) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, *only ? 1 : 0, "set IPV6_V6ONLY");
}

/// A reply has to leave from the address the datagram came to, which a socket bound to a wildcard does not know.
/// A dual-stack socket reports IPv4 destinations as v4-mapped ones.
void report_destinations(int fd, const SocketAddress& address) {
    if (address.family() == AF_INET) set_option(fd, IPPROTO_IP, IP_PKTINFO, 1, "set IP_PKTINFO");
    if (address.family() == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "set IPV6_RECVPKTINFO");
}

void set_receive_buffer(int fd, const ListenSettings& settings) {
    constexpr std::uint64_t largest = std::numeric_limits<int>::max() / 2;  // the kernel doubles it for its overhead
    const auto asked = static_cast<int>(std::min(*settings.rcvbuf_bytes, largest));
    // Root is not bound by net.core.rmem_max.
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &asked, sizeof asked) == 0) return;
    set_option(fd, SOL_SOCKET, SO_RCVBUF, asked, "set SO_RCVBUF");
    int doubled = 0;
    socklen_t size = sizeof doubled;
    check(::getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &doubled, &size), "get SO_RCVBUF");
    if (doubled / 2 < asked)
        log(LogLevel::Warning, fmt::format("{}: rcvbuf={} is cut to {}: raise net.core.rmem_max", subject_of(settings),
                                           *settings.rcvbuf_bytes, doubled / 2));
}

/// No worker shall attach a filter that keeps everything out.  A TCP listener may need one at its end: listener.hpp,
/// refuse_new_connections().
void lock_filter(int fd) { set_option(fd, SOL_SOCKET, SO_LOCK_FILTER, 1, "set SO_LOCK_FILTER"); }

void set_options(int fd, const ListenSettings& settings, const SocketAddress& address) {
    if (settings.endpoint.transport == Transport::Tcp) set_tcp_options(fd, settings);
    if (address.family() == AF_INET6) set_v6only(fd, settings);
    if (!is_datagram(settings.endpoint.transport)) return;
    if (!is_one_of_this_host(address)) report_destinations(fd, address);
    if (settings.rcvbuf_bytes) set_receive_buffer(fd, settings);
    lock_filter(fd);
}

/// Each fails where there is nothing to take back.
void let_clients_in(int fd, Waits waits) noexcept {
    const int none = 0;
    const linger off{};
    ::setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);  // accepted sockets would have it, too
    ::setsockopt(fd, IPPROTO_IP, IP_MINTTL, &none, sizeof none);
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &none, sizeof none);
    ::setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &none, sizeof none);  // error_queue.hpp
    ::setsockopt(fd, IPPROTO_IP, IP_RECVERR, &none, sizeof none);
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &none, sizeof none);
    for (const int option : {UDP_CORK, UDP_SEGMENT, UDP_ENCAP})
        ::setsockopt(fd, IPPROTO_UDP, option, &none, sizeof none);
    const int wanted = waits == Waits::Never ? O_NONBLOCK : 0;
    if (const int flags = ::fcntl(fd, F_GETFL); flags != -1) ::fcntl(fd, F_SETFL, (flags & ~O_ASYNC) | wanted);
}

int receive_buffer_of(int fd) noexcept {
    int bytes = 0;
    socklen_t size = sizeof bytes;
    return ::getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &size) == 0 ? bytes : 0;
}

/// Nobody of ours has asked for less than a new socket has.
void restore_receive_buffer(int fd) noexcept {
    const UniqueFd fresh{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const int usual = receive_buffer_of(fresh.get());
    if (receive_buffer_of(fd) >= usual) return;
    const int asked = usual / 2;  // the kernel doubles it
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &asked, sizeof asked);
}

}  // namespace

int first_free_port() {
    int first = 1024;
    std::ifstream{"/proc/sys/net/ipv4/ip_unprivileged_port_start"} >> first;
    return first;
}

BindAttempt look_at_bind(const ListenSettings& settings, const SocketAddress& address) {
    const int type = socket_type_of(settings.endpoint.transport);
    BindAttempt attempt{.fd = UniqueFd{::socket(address.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)}};
    if (!attempt.fd) return {.error = errno};
    set_options(attempt.fd.get(), settings, address);
    if (address.family() == AF_UNIX) {
        if (settings.endpoint.abstract) return attempt;
        try {
            look_at_unix_path(settings, address);
        } catch (const std::system_error& error) { attempt.error = error.code().value(); }
        return attempt;
    }
    const SocketAddress elsewhere = address.with_port(0);
    if (::bind(attempt.fd.get(), elsewhere.data(), elsewhere.size()) == -1) return {.error = errno};
    if (address.port() == 0 || address.port() >= first_free_port()) return attempt;
    // Only the kernel knows who may have it.  It looks at the right first, and nothing listens there: a daemon that
    // starts just now binds it, too, or tries again.
    const UniqueFd there{::socket(address.family(), type | SOCK_CLOEXEC, 0)};
    if (!there) return {.error = errno};
    set_options(there.get(), settings, address);
    if (::bind(there.get(), address.data(), address.size()) == -1 && errno != EADDRINUSE) attempt.error = errno;
    return attempt;
}

void change_options(int fd, const ListenSettings& settings, int backlog, Waits waits) {
    let_clients_in(fd, waits);
    if (settings.endpoint.transport == Transport::Tcp) set_connection_options(fd, settings);
    if (is_datagram(settings.endpoint.transport)) {
        if (settings.rcvbuf_bytes)
            set_receive_buffer(fd, settings);
        else if (settings.endpoint.transport == Transport::Udp)
            restore_receive_buffer(fd);
    } else {
        check(::listen(fd, backlog), "change the backlog of " + to_string(settings.endpoint));
    }
}

BindAttempt try_bind_beside(int old, const ListenSettings& settings, const SocketAddress& address) {
    const int type = SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    BindAttempt attempt{.fd = UniqueFd{::socket(address.family(), type, 0)}};
    if (!attempt.fd) return {.error = errno};
    const int fd = attempt.fd.get();
    set_options(fd, settings, address);
    // Both have to allow it; of two that do, the kernel asks the younger.  Nobody else shall join them.
    for (const int each : {old, fd}) set_option(each, SOL_SOCKET, SO_REUSEADDR, 1, "set SO_REUSEADDR");
    if (::bind(fd, address.data(), address.size()) == -1) return {.error = errno};
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 0, "set SO_REUSEADDR");
    return attempt;
}

BindAttempt try_bind_queue(int first, const ListenSettings& settings, const SocketAddress& address,
                           std::optional<int> backlog) {
    BindAttempt attempt{.fd = UniqueFd{::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)}};
    if (!attempt.fd) return {.error = errno};
    const int fd = attempt.fd.get();
    set_options(fd, settings, address);
    for (const int each : {first, fd}) set_option(each, SOL_SOCKET, SO_REUSEPORT, 1, "set SO_REUSEPORT");
    if (::bind(fd, address.data(), address.size()) == -1 || (backlog && ::listen(fd, *backlog) == -1))
        return {.error = errno};
    return attempt;
}

BindAttempt try_bind(const ListenSettings& settings, const SocketAddress& address, int backlog) {
    const int type = socket_type_of(settings.endpoint.transport);
    BindAttempt attempt{.fd = UniqueFd{::socket(address.family(), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)}};
    const auto failed = [&] {
        const int error = errno;
        if (attempt.file) remove_if_same(settings.endpoint.path, *attempt.file);
        return BindAttempt{.error = error};
    };
    if (!attempt.fd) return failed();
    const int fd = attempt.fd.get();
    set_options(fd, settings, address);

    if (address.family() == AF_UNIX && !settings.endpoint.abstract) {
        try {
            attempt.file = bind_unix_path(fd, settings, address);
        } catch (const std::system_error& error) { return BindAttempt{.error = error.code().value()}; }
    } else if (::bind(fd, address.data(), address.size()) == -1) {
        return failed();
    }
    // With SO_REUSEADDR on both sides, two daemons that start at once may both bind; EADDRINUSE then comes from here.
    if (!is_datagram(settings.endpoint.transport) && ::listen(fd, backlog) == -1) return failed();
    return attempt;
}

}  // namespace preforkd
