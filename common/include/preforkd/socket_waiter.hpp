#pragma once
#include <cstdint>

namespace preforkd {

enum class SocketEvent : std::uint8_t { Input, Output };

/// What waits until a socket is ready, in the loop of a worker.  Lives with whoever waits, and ends once.
struct SocketWaiter {
    /// `goes_on`: false where the loop or the connection has ended, so that all that it has is destroyed instead.
    using End = void (*)(SocketWaiter& self, bool goes_on);

    End end;
};

}  // namespace preforkd
