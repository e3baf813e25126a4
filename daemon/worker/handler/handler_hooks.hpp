#pragma once
// What a worker tells its handlers about itself and their clients: the same in every model.
#include <exception>
#include <functional>

#include "daemon/worker/handler/handler_set.hpp"
#include "daemon/worker/handler/worker_core.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

/// Before the first client.  What a handler throws keeps the worker from becoming ready.
void start_handlers(HandlerSet& handlers, WorkerCore& core);

/// The worker is awake.  Costs no system call; throws nothing.
void let_handlers_act(HandlerSet& handlers) noexcept;

/// The worker has been told to leave: tells them the first time.  Throws nothing.
void tell_of_drain(HandlerSet& handlers, WorkerCore& core) noexcept;

/// After the last client.  Throws nothing: the worker leaves all the same.
void dismiss_handlers(HandlerSet& handlers) noexcept;

/// Calls `hear`, a callback of the bus.  Throws nothing.
void call_subscriber(const std::function<void()>& hear) noexcept;

/// Has `handler` deal with what its request threw; if that throws too, it is logged: a failure must not end more than
/// the request.
void report_failure(Handler& handler, const Endpoint& peer, std::exception_ptr failure) noexcept;

/// Tells `handler` that a client was waited for in vain.
void report_timeout(Handler& handler, const Endpoint& peer) noexcept;

}  // namespace preforkd
