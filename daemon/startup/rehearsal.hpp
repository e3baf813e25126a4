#pragma once
// What a new image does as a child of the running one, before it may take its place.
#include "daemon/master/pool/handover.hpp"
#include "daemon/startup/generation_plan.hpp"

namespace preforkd {

/// Restores a copy of the state and boots one worker to ready, which takes no client.  Binds nothing, tells systemd
/// nothing, touches none of the running workers.  Throws std::exception with what the running image shall say.
void rehearse(const StartUp& start_up, const Handover& handover);

}  // namespace preforkd
