#pragma once
// What a worker tells its handlers about itself: the same in every model.
#include "daemon/worker/handler/handler_set.hpp"

namespace preforkd {

/// Before the first client.  What a handler throws keeps the worker from becoming ready.
void start_handlers(HandlerSet& handlers);

/// The worker is awake.  Costs no system call; throws nothing.
void let_handlers_act(HandlerSet& handlers) noexcept;

/// After the last client.  Throws nothing: the worker leaves all the same.
void dismiss_handlers(HandlerSet& handlers) noexcept;

}  // namespace preforkd
