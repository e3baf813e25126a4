// A listener that somebody has shut down, with whom we share it.
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "common/base/sys_error.hpp"
#include "common/net/listener.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd {

bool is_shut_down(const Listener& listener) noexcept {
    pollfd end{.fd = listener.fd.get(), .events = POLLRDHUP, .revents = 0};
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

}  // namespace preforkd
