#pragma once
// Whether a worker could take its place.
#include "common/config/settings.hpp"
#include "common/process/identity.hpp"

namespace preforkd {

/// Has a child that is thrown away enter --chdir as `identity`.  Throws OperatorError where it may not.
void try_directory(const Settings& settings, const Identity& identity);

}  // namespace preforkd
