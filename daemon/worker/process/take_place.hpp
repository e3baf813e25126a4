#pragma once
// Where and as whom handlers run, in a worker and in the trial of a shared object.
#include "common/config/settings.hpp"
#include "common/process/identity.hpp"

namespace preforkd {

class Sandbox;

/// Becomes `identity` in --chdir with --umask, traced by nobody but with --core-dumps, and puts on `sandbox`.  Before
/// the first thread.  Throws std::system_error.
void take_place(const Settings& settings, const Identity& identity, const Sandbox& sandbox);

}  // namespace preforkd
