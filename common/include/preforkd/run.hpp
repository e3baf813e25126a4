#pragma once
#include "preforkd/handlers.hpp"

namespace preforkd {

/// The whole daemon: reads the command line, PREFORKD_* and the configuration file, listens, forks, serves, and returns
/// the exit code (sysexits.h) when it has stopped.  Call it from main() before any thread exists.  Throws nothing.
[[nodiscard]] int run(int argc, char** argv, const Handlers& handlers = builtin_handlers()) noexcept;

}  // namespace preforkd
