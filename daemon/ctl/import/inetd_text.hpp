#pragma once
// The lines of inetd.conf(5).  Pure.
#include <string_view>

#include "daemon/ctl/import/old_entry.hpp"

namespace preforkd {

/// What inetd has and xinetd does not: the values of these stand in no file of xinetd's.
inline constexpr std::string_view receive_buffer_attribute = "receive buffer";  ///< bytes
inline constexpr std::string_view family_attribute = "family";                  ///< 4, 6, or 46: both by one socket
inline constexpr std::string_view invocations_attribute = "nowait.";            ///< starts a minute

/// Reads each line as the service that xinetd would call so, once for each of its addresses.  One that is switched off
/// as update-inetd(8) does it is a service with `disable = yes`.  `file`: its name, fit to print.
[[nodiscard]] OldText parse_inetd(std::string_view text, std::string_view file);

}  // namespace preforkd
