#pragma once
// The shape of xinetd.conf(5), whatever its attributes mean.  Pure.
#include <string_view>

#include "daemon/ctl/import/old_entry.hpp"

namespace preforkd {

/// Whether `text` is xinetd's rather than a list of inetd.conf's lines: its first word says so.
[[nodiscard]] bool is_xinetd_text(std::string_view text) noexcept;

/// Reads the services, defaults and includes of a file.  `file`: its name, fit to print.
[[nodiscard]] OldText parse_xinetd(std::string_view text, std::string_view file);

}  // namespace preforkd
