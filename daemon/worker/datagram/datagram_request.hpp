#pragma once
// What is behind a Datagram, and what is called for each, in which order.
#include <boost/asio/awaitable.hpp>
#include <limits>
#include <optional>
#include <span>

#include "common/channel/connection_outcome.hpp"
#include "daemon/worker/accept/announced.hpp"
#include "daemon/worker/datagram/datagram_outbox.hpp"
#include "preforkd/datagram.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

struct DatagramCore {
    static constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

    std::span<const std::byte> bytes{};
    ReplyRoute route;                      ///< its addresses outlive the core
    std::size_t longest_reply = no_limit;  ///< what is longer is cut
    DatagramOutbox* outbox = nullptr;      ///< gathers the replies; none: they are sent at once
    const Announced* announced = nullptr;  ///< where whom to reply to has announced the client; outlives the core
    std::optional<Endpoint> peer{};        ///< once asked for
    std::optional<Endpoint> local{};       ///< once asked for
    ConnectionOutcome outcome = ConnectionOutcome::Ok;
};

/// verify(), serve(), handle_error().  Ends no more than this request.
void serve_datagram(DatagramHandler& handler, DatagramCore& core) noexcept;

/// The same for a handler that may suspend.  `core` outlives it.  Throws nothing.
[[nodiscard]] awaitable<void> serve_datagram(AsyncDatagramHandler& handler, DatagramCore& core);

}  // namespace preforkd
