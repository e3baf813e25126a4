#pragma once
// Opening a file without being led elsewhere by somebody else.
#include <sys/types.h>

#include <string>

#include "common/base/unique_fd.hpp"

namespace preforkd {

/// open(2), but for symbolic links of users other than root and this process's: where root opened a log in a directory
/// of somebody else, he would choose which file of the system it is.  Linux has the same rule for directories such as
/// /tmp alone.  Throws OperatorError that names --log-file and the link; otherwise empty, with errno, on failure.
/// Source: proc(5), protected_symlinks.
[[nodiscard]] UniqueFd open_trusting_links(const std::string& path, int flags, ::mode_t mode);

/// Whether it would open the file, or make it; what is not there is not made.  A FIFO is not opened, whose reader would
/// take our end for that of all that is written.  False with errno; throws likewise.
[[nodiscard]] bool would_open_trusting_links(const std::string& path, int flags);

}  // namespace preforkd
