#pragma once
// The control groups that bound this process.
#include <filesystem>
#include <istream>
#include <string_view>
#include <vector>

namespace preforkd {

/// A group in one of the hierarchies, which version 1 has for each controller and version 2 for all.
struct Cgroup {
    bool v2 = false;
    std::vector<std::filesystem::path> directories{};  ///< its own, then those above it, up to the hierarchy's root
};

/// Those that may bound what `controller` (`cpu`, `memory`) counts: version 1's, if it has the controller, and version
/// 2's.  In a container the path may be the host's, whose root we see: then the lowest directories do not exist.
/// `membership`: a /proc/PID/cgroup.  Source: cgroups(7).
[[nodiscard]] std::vector<Cgroup> cgroups_of(std::string_view controller, std::istream& membership);

/// The same of this process.
[[nodiscard]] std::vector<Cgroup> own_cgroups(std::string_view controller);

}  // namespace preforkd
