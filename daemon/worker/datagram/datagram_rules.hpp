#pragma once
// Which senders a datagram listener answers at all, and at what length.
#include <cstdint>
#include <optional>
#include <vector>

#include "common/net/local_addresses.hpp"
#include "common/net/socket_address.hpp"
#include "daemon/worker/accept/source_policy.hpp"
#include "daemon/worker/process/worker_plan.hpp"

namespace preforkd {

struct DatagramRules {
    std::vector<std::uint16_t> own_ports{};           ///< of this daemon's datagram listeners
    std::vector<SocketAddress> own_unix_addresses{};  ///< likewise
    bool handler_answers_anything = false;
    bool amplifies = true;  ///< whether a reply may be longer than its request
};

/// Those of `listener`, one of the plan's datagram listeners: its keys, or else what suits its handler.
[[nodiscard]] DatagramRules datagram_rules(const WorkerPlan& plan, const Listener& listener);

/// Applies the rules of one listener.
class SourceCheck {
public:
    explicit SourceCheck(DatagramRules rules);

    /// `destination`: where the datagram was sent to.
    [[nodiscard]] std::optional<SourceFault> fault_of(const SocketAddress& sender, const SocketAddress& destination);

    [[nodiscard]] bool amplifies() const noexcept { return rules_.amplifies; }

private:
    DatagramRules rules_;
    LocalAddresses local_{};
};

}  // namespace preforkd
