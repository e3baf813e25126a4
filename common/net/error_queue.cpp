#include "common/net/error_queue.hpp"

#include <sys/socket.h>

#include <array>

namespace preforkd {

void empty_error_queue(int socket) noexcept {
    constexpr int most_batches = 16;  // somebody may fill it as fast; the next event is soon enough
    // A Unix socket has none, and takes this for an ordinary receive.
    int family = AF_UNSPEC;
    socklen_t size = sizeof family;
    if (::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size) == -1) return;
    if (family != AF_INET && family != AF_INET6) return;
    // No space for anything of it: what does not fit is thrown away.
    std::array<mmsghdr, 64> headers{};
    for (int batches = 0; batches < most_batches; ++batches)
        if (::recvmmsg(socket, headers.data(), headers.size(), MSG_ERRQUEUE | MSG_DONTWAIT, nullptr) <
            static_cast<int>(headers.size()))
            return;
}

}  // namespace preforkd
