#pragma once
// How an error is told that ends the program before its settings are known.  Pure.
#include <string>
#include <vector>

#include "common/log/log_output.hpp"

namespace preforkd {

/// The format that the log would have had, as far as a command line and an environment tell that may be wrong: the
/// first --log-format that can be read, else PREFORKD_LOG_FORMAT, else Auto.
///
/// Text where a tool was asked for (--check-config, --print-config and the like): whoever starts one reads what it
/// says, or a script hands it on to somebody who does, and no daemon's log is concerned.
[[nodiscard]] LogFormat format_of_early_errors(const std::vector<std::string>& arguments,
                                               const std::vector<std::string>& environment);

}  // namespace preforkd
