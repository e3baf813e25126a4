#pragma once
// What a service starts.  Pure.
#include <span>
#include <string>
#include <vector>

#include "daemon/ctl/import/old_entry.hpp"

namespace preforkd {

/// The program and its arguments as `program =` takes them, from server, server_args and NAMEINARGS, or redirect.
/// Empty: it names none.
[[nodiscard]] std::vector<std::string> command_of(std::span<const OldAttribute> attributes);

}  // namespace preforkd
