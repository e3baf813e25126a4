#pragma once
#include <string>

#include "preforkd/handlers.hpp"

namespace preforkd {

/// Whose program it is, for --help and --version.
struct About {
    std::string program{};  ///< its name; empty: the one that it was started by
    std::string version{};  ///< `kv 1.2 (preforkd 0.1.0)`; empty: without one
};

/// The whole daemon: reads the command line, PREFORKD_* and the configuration file, listens, forks, serves, and returns
/// the exit code (sysexits.h) when it has stopped.  Call it from main() before any thread exists.  Throws nothing.
[[nodiscard]] int run(int argc, char** argv, const Handlers& handlers = builtin_handlers(),
                      const About& about = {}) noexcept;

}  // namespace preforkd
