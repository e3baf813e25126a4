#pragma once
// Serving one stream connection with a coroutine handler, in whatever loop.
#include "daemon/worker/accept/accept_streams.hpp"
#include "daemon/worker/loop/loop.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

/// Starts `handler` on `stream` in `loop`; it runs until it first has to wait, which for most short answers is to the
/// end.  Its acceptor, which counts it, hears when the connection is closed or parked: possibly before this returns.
void start_coroutine(Loop& loop, StreamHandler& handler, AcceptedStream stream);

/// Runs `loop`, made for this connection alone, until `handler` has returned; gives the descriptor back for the close.
[[nodiscard]] ServedStream run_coroutine(Loop& loop, StreamHandler& handler, AcceptedStream stream);

}  // namespace preforkd
