#pragma once
// What --print-config prints.  Pure.
#include <string>

#include "common/config/options.hpp"

namespace preforkd {

/// A line `name = value  # origin` for each value of each option; a comment line for what is unset and for what no file
/// can say (the file itself, PROGRAM).  Read as a file it gives `settings` again, all but the program.
[[nodiscard]] std::string print_config(const Settings& settings, const Origins& origins, const std::string& config_file,
                                       const Program& program = {});

}  // namespace preforkd
