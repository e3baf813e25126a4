#pragma once
// Whether a stream client is served, and what it is told if not.
#include <array>
#include <string>

#include "daemon/worker/accept/client_check.hpp"

namespace preforkd {

/// Of one listener with a ClientCheck.  Who is refused is told so: by a reset, or by what refuse-with= says.
class Admission {
public:
    /// As of ClientCheck.
    Admission(const Listener& listener, Acceptor& acceptor);

    /// Whether the client is served, and then counted in `place`.  `address`: as it was announced, where that is so.
    [[nodiscard]] bool admits(int connection, const SocketAddress& address, bool is_announced, CountedPlace& place);

private:
    [[nodiscard]] static ClientIdentity identity_of(int connection, const SocketAddress& address,
                                                    bool is_announced) noexcept;
    void refuse(int connection, const SocketAddress& address, RefusalReason reason);

    ClientCheck check_;
    std::string farewell_;
    std::array<Refusals, refusal_reasons> refusals_;
};

}  // namespace preforkd
