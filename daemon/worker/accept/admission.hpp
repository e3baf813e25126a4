#pragma once
// Whether a client of a listener is served: allow=, deny=, per-source=, rate=.
#include <optional>

#include "common/channel/source.hpp"
#include "common/net/host_address.hpp"
#include "daemon/worker/accept/acceptor.hpp"
#include "daemon/worker/accept/counted_place.hpp"
#include "daemon/worker/accept/refusals.hpp"

namespace preforkd {

/// Of one listener with any of these.  Who is refused is told so: by a reset, or by what refuse-with= says.
class Admission {
public:
    /// `listener` has a table of sources, and outlives it, as `acceptor` does.
    Admission(const Listener& listener, Acceptor& acceptor);

    /// Whether the client is served, and then counted in `place`.  `address`: as it was announced, where that is so.
    [[nodiscard]] bool admits(int connection, const SocketAddress& address, bool is_announced, CountedPlace& place);

private:
    /// By which of the two a client is known; by neither where it was announced without an address.
    struct Client {
        std::optional<HostAddress> host{};
        std::optional<std::uint32_t> user{};
    };
    [[nodiscard]] static Client client_of(int connection, const SocketAddress& address, bool is_announced) noexcept;
    [[nodiscard]] bool is_allowed(const Client& client) const noexcept;
    [[nodiscard]] std::optional<RefusalReason> count(const Client& client, const SocketAddress& address,
                                                     CountedPlace& place);
    void refuse(int connection, const SocketAddress& address, RefusalReason reason);

    const Listener& listener_;
    const SourceCells& cells_;
    SourceCells::Column column_;
    SourceQuota quota_{};
    SourcePrefix prefix_{};
    std::string farewell_{};
    std::array<Refusals, refusal_reasons> refusals_;
    Refusals uncounted_;
};

}  // namespace preforkd
