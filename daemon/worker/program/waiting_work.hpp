#pragma once
// What waits at a socket for the program that will get it (inetd=wait).
#include <cstddef>
#include <cstdint>

#include "common/net/socket_address.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

/// As much of it as can be seen without taking it: of connections, that there are any.
struct WaitingWork {
    // Of a datagram, the first in the queue.
    SocketAddress sender{};
    std::size_t size_bytes{};
    std::int64_t stamp_ns{};  ///< another of each, also of one that is sent again
    friend bool operator==(const WaitingWork&, const WaitingWork&) = default;
};

/// Returns 0, EAGAIN where nothing waits, or what else the socket says.
[[nodiscard]] int look_for_work(int socket, Transport transport, WaitingWork& found);

}  // namespace preforkd
