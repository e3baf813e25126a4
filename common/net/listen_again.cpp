// A listener that somebody with whom we share it has shut down, or connected.
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "common/base/sys_error.hpp"
#include "common/net/bind_attempt.hpp"
#include "common/net/listener.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd {

bool is_shut_down(int fd) noexcept {
    pollfd end{.fd = fd, .events = POLLRDHUP, .revents = 0};
    return ::poll(&end, 1, 0) == 1 && (end.revents & (POLLHUP | POLLRDHUP)) != 0;
}

bool listen_again(const Listener& listener, int backlog) {
    if (listener.local.transport != Transport::Tcp) return false;
    const int fd = listener.fd.get();
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    check(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), "read the address of a listener");
    // The shutdown has given up a port that the kernel had chosen, although its number can still be read; EINVAL: any
    // other stays bound.
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == -1 && errno != EINVAL)
        throw_errno("bind " + to_string(listener.local) + " again");
    check(::listen(fd, backlog), "listen on " + to_string(listener.local) + " again");
    return true;
}

bool replace_socket(Listener& listener) {
    if (listener.local.transport != Transport::Udp || listener.inherited) return false;
    const SocketAddress address = SocketAddress::local_of(listener.fd.get());
    BindAttempt attempt = try_bind_beside(listener.fd.get(), listener.settings, address);
    if (attempt.error != 0) {
        errno = attempt.error;
        throw_errno("bind " + to_string(listener.local) + " again");
    }
    listener.fd = std::move(attempt.fd);
    return true;
}

bool disconnect(int fd, const Endpoint& local) {
    if (!is_datagram(local.transport)) return false;
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    const bool connected = ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
    constexpr sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
    if (connected) check(::connect(fd, &nobody, sizeof nobody), "disconnect " + to_string(local));
    if (local.transport != Transport::Udp) return connected;
    // The kernel gives up a port that it had chosen itself.  Source: udp(7); Linux, __udp_disconnect().
    const SocketAddress address = SocketAddress::local_of(fd);
    if (address.port() != 0) return connected;
    const SocketAddress before = address.with_port(local.port);
    check(::bind(fd, before.data(), before.size()), "bind " + to_string(local) + " again");
    return true;
}

}  // namespace preforkd
