#pragma once
// The files of xinetd and inetd, with what they include.
#include <string>
#include <vector>

#include "daemon/ctl/import/old_entry.hpp"

namespace preforkd {

struct OldFiles {
    std::vector<OldEntry> services{};
    std::vector<OldAttribute> defaults{};  ///< of all files, in their order
    std::vector<Remark> remarks{};         ///< lines that are none, and included files that cannot be read
};

/// Reads `paths`, files or directories such as /etc/xinetd.d, each file once.  Throws std::runtime_error with one
/// sentence where one of them cannot be read.
[[nodiscard]] OldFiles read_old_files(const std::vector<std::string>& paths);

}  // namespace preforkd
