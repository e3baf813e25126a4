#pragma once
// Who may be a client of a listener, and how many of them: allow=, deny=, per-source=, rate=.
#include <cstdint>
#include <optional>

#include "common/channel/source.hpp"
#include "common/net/host_address.hpp"
#include "daemon/worker/accept/acceptor.hpp"
#include "daemon/worker/accept/counted_place.hpp"
#include "daemon/worker/accept/refusals.hpp"

namespace preforkd {

/// By which of the two a client is known; by neither where it was announced without an address.
struct ClientIdentity {
    std::optional<HostAddress> host{};
    std::optional<std::uint32_t> user{};
};

/// The rules of one listener with any of these, and its counts.
class ClientCheck {
public:
    /// `listener` has a table of sources, and outlives it, as `acceptor` does.
    ClientCheck(const Listener& listener, Acceptor& acceptor);

    /// What keeps a client out; else it is counted in `place`, where clients are counted while they are served.
    /// `address`: for the log.
    [[nodiscard]] std::optional<RefusalReason> refusal_of(const ClientIdentity& client, const SocketAddress& address,
                                                          CountedPlace& place);

private:
    [[nodiscard]] bool is_allowed(const ClientIdentity& client) const noexcept;
    [[nodiscard]] std::optional<RefusalReason> count(const ClientIdentity& client, const SocketAddress& address,
                                                     CountedPlace& place);

    const Listener& listener_;
    const SourceCells& cells_;
    SourceCells::Column column_;
    SourceQuota quota_;
    SourcePrefix prefix_;
    bool counts_at_once_;
    Refusals uncounted_;
};

}  // namespace preforkd
