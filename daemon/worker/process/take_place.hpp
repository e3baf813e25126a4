#pragma once
// Where and as whom handlers run, in a worker and in the trial of a shared object.
#include "common/config/settings.hpp"
#include "common/process/identity.hpp"
#include "common/process/process_change.hpp"

namespace preforkd {

class Sandbox;

/// Who it becomes.
struct WorkerUser {
    const Identity& identity;               ///< of --user
    const ProcessChange* change = nullptr;  ///< instead of that
};

/// Becomes that user in --chdir with --umask, traced by nobody but with --core-dumps, and puts on `sandbox`.  Before
/// the first thread.  Throws std::system_error.
void take_place(const Settings& settings, const WorkerUser& user, const Sandbox& sandbox);

}  // namespace preforkd
