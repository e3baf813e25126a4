#pragma once
// What a datagram listener serves, and how far it is answered.
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/net/local_addresses.hpp"
#include "common/net/socket_address.hpp"
#include "daemon/worker/accept/source_policy.hpp"
#include "daemon/worker/datagram/reply_limiter.hpp"
#include "daemon/worker/process/worker_plan.hpp"

namespace preforkd {

struct DatagramRules {
    std::vector<std::uint16_t> own_ports{};           ///< of this daemon's datagram listeners
    std::vector<SocketAddress> own_unix_addresses{};  ///< likewise
    bool handler_answers_anything = false;
    std::uint32_t replies_per_source = 0;         ///< a second; 0: no limit
    std::shared_ptr<const AccessTable> access{};  ///< allow=, deny=
    bool amplifies = true;                        ///< whether a reply may be longer than its request
};

/// Those of `listener`, one of the plan's datagram listeners: its keys, or else what suits its handler.
[[nodiscard]] DatagramRules datagram_rules(const WorkerPlan& plan, const Listener& listener);

/// Applies the rules of one listener.
class SourceCheck {
public:
    explicit SourceCheck(DatagramRules rules);

    /// Whose datagram it is: the sender's, unless that has announced a client.
    struct Addresses {
        const SocketAddress& sender;
        const SocketAddress& destination;
        const SocketAddress& client;
    };
    /// A datagram without fault costs its client a token.
    [[nodiscard]] std::optional<SourceFault> fault_of(const Addresses& addresses);

    [[nodiscard]] bool amplifies() const noexcept { return rules_.amplifies; }

private:
    [[nodiscard]] std::optional<SourceFault> fault_of_sender(const SocketAddress& sender,
                                                             const SocketAddress& destination);

    DatagramRules rules_;
    LocalAddresses local_{};
    std::unique_ptr<ReplyLimiter> limiter_{};
};

}  // namespace preforkd
