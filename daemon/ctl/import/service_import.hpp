#pragma once
// `preforkctl import`.
#include "daemon/ctl/command_line.hpp"

namespace preforkd {

/// Prints the configuration, and on standard error what is not in it.  Whether nothing is missing there.
/// Throws std::invalid_argument, or std::runtime_error with one sentence.
[[nodiscard]] bool import_services(const CommandLine& line);

}  // namespace preforkd
