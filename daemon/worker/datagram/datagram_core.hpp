#pragma once
// What is behind a Datagram.
#include <optional>
#include <span>

#include "daemon/worker/datagram/datagram_outbox.hpp"
#include "preforkd/datagram.hpp"

namespace preforkd {

struct DatagramCore {
    std::span<const std::byte> bytes{};
    ReplyRoute route;                  ///< its addresses outlive the core
    DatagramOutbox* outbox = nullptr;  ///< gathers the replies; none: they are sent at once
    std::optional<Endpoint> peer{};    ///< once asked for
    std::optional<Endpoint> local{};   ///< once asked for
};

}  // namespace preforkd
