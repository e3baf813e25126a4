#pragma once
// A Connection whose client speaks TLS: what takes a coroutine.
#include <span>

#include "daemon/worker/stream/connection_core.hpp"

namespace preforkd {

/// The handshake, with a client of `listener`, which speaks TLS; before anything else.  Whether it went well.
[[nodiscard]] awaitable<bool> begin_tls(ConnectionCore& core, const Listener& listener);

/// Sends all of `bytes`; `more`: the end of our output comes at once.
[[nodiscard]] awaitable<std::error_code> send_tls(ConnectionCore& core, std::span<const std::byte> bytes, bool more);

/// Ends our output.
[[nodiscard]] awaitable<std::error_code> end_tls(ConnectionCore& core);

/// The same without waiting: where the socket is full, it happens beside what comes next.
std::error_code end_tls_at_once(ConnectionCore& core);

}  // namespace preforkd
