#pragma once
// Finding out at start-up, without loading it into the master, what a shared object serves and whether it works.
#include "common/option_origin.hpp"
#include "common/settings.hpp"
#include "preforkd/handlers.hpp"

namespace preforkd {

/// Adds an entry for each shared object that `settings` name as a handler.  Its functions load the object, in the
/// process that calls them: a worker.
///
/// What the entry says of kinds and model comes from a throw-away child that has loaded the object as a worker would
/// (its user, its directory), made an instance of each kind, and left.  Throws OperatorError: 78 and one sentence that
/// names the option when the object cannot be loaded, is for another version, or its constructor throws, crashes or
/// takes longer than --boot-timeout.
void add_shared_objects(Handlers& handlers, const Settings& settings, const Origins& origins);

}  // namespace preforkd
