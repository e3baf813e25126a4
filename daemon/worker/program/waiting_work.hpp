#pragma once
// What waits at a socket for the program that will get it (inetd=wait).
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/net/socket_address.hpp"
#include "preforkd/endpoint.hpp"

namespace preforkd {

/// As much of it as can be seen without taking it.
struct WaitingWork {
    // Of connections, where it was asked for and can be known: who is in the queue.
    std::optional<std::vector<std::uint64_t>> clients{};
    // Of a datagram, the first in the queue.
    SocketAddress sender{};
    std::size_t size_bytes{};
    std::int64_t stamp_ns{};  ///< another of each, also of one that is sent again
    friend bool operator==(const WaitingWork&, const WaitingWork&) = default;
};

/// Whether `now` that still waits which did `before`; nullopt: nobody can tell.
[[nodiscard]] std::optional<bool> is_still_there(const WaitingWork& before, const WaitingWork& now,
                                                 Transport transport);

/// How much of it is looked at.
enum class Look { Whether, AndWho };

/// Returns 0, EAGAIN where nothing waits, or what else the socket says.
[[nodiscard]] int look_for_work(int socket, Transport transport, WaitingWork& found, Look look = Look::Whether);

}  // namespace preforkd
