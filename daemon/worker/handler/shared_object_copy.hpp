#pragma once
// A shared object in memory, so that its file may be written to while workers run it.
#include <optional>
#include <string>

#include "common/base/unique_fd.hpp"

namespace preforkd {

/// An empty file in memory that /proc/PID/maps shows by the name of the shared object at `path`.
[[nodiscard]] UniqueFd make_object_copy(const std::string& path);

/// Copies into `copy` what the loader maps of the file at `path`.  Why not, otherwise, and then the file itself has to
/// be loaded.  In a process that may hang.
[[nodiscard]] std::optional<std::string> copy_shared_object(const std::string& path, int copy);

/// From now on nobody can change it, as one worker could for all others.  False: somebody has it mapped to be written.
[[nodiscard]] bool seal_object_copy(int copy) noexcept;

}  // namespace preforkd
