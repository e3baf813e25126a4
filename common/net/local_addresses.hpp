#pragma once
// Which addresses this host has.
#include <vector>

#include "common/base/clock.hpp"
#include "common/net/host_address.hpp"

namespace preforkd {

/// The addresses of all interfaces, asked for when needed and then kept for a second.
class LocalAddresses {
public:
    /// Where the kernel does not tell, no address is.
    [[nodiscard]] bool contain(const HostAddress& host, Clock::time_point now);

private:
    std::vector<HostAddress> addresses_{};
    Clock::time_point expire_{};
};

/// Whether datagrams to a socket that is bound to `bound` were all sent there, and replies leave from there: it is an
/// address that this host has now, and not any of them, nor one for many hosts.
[[nodiscard]] bool is_one_of_this_host(const SocketAddress& bound);

}  // namespace preforkd
