#pragma once
// What is called for each datagram, in which order.
#include <boost/asio/awaitable.hpp>

#include "daemon/worker/datagram/datagram_core.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

/// verify(), serve(), handle_error().  Ends no more than this request.
void serve_datagram(DatagramHandler& handler, DatagramCore& core) noexcept;

/// The same for a handler that may suspend.  `core` outlives it.  Throws nothing.
[[nodiscard]] awaitable<void> serve_datagram(AsyncDatagramHandler& handler, DatagramCore& core);

}  // namespace preforkd
