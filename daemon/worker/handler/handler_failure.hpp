#pragma once
#include <exception>

#include "preforkd/handler.hpp"

namespace preforkd {

/// Has `handler` deal with what its request threw; if that throws too, it is logged: a failure must not end more than
/// the request.
void report_failure(Handler& handler, const Endpoint& peer, std::exception_ptr failure) noexcept;

/// Tells `handler` that a client was waited for in vain.
void report_timeout(Handler& handler, const Endpoint& peer) noexcept;

}  // namespace preforkd
