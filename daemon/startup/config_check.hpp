#pragma once
#include "daemon/startup/generation_plan.hpp"

namespace preforkd {

/// What --check-config does with `plan`, beyond what planning has checked: throws what a start would, with the same
/// words and exit code, and changes nothing.  Of what is passed to a daemon (sockets, --ready-fd) it knows nothing, and
/// an address in use may be the running daemon's.
void check_start(GenerationPlan& plan, const Invocation& invocation);

}  // namespace preforkd
