#pragma once
// The process that observes: it answers those who look, from what the master tells it.
#include "common/channel/observer_handoff.hpp"
#include "common/config/settings.hpp"

namespace preforkd {

/// What the child runs that the master forks for it; empty where `settings` want none.  As root it takes a user of its
/// own, which is nobody else's: neither the master's nor the workers'.  Throws OperatorError (78) where --sandbox
/// strict cannot be had.
[[nodiscard]] ObserverMain make_observer(const Settings& settings);

}  // namespace preforkd
