#pragma once
// How many processors this process may really use: what `--workers auto` means.
#include <optional>
#include <string_view>

namespace preforkd {

/// CPUs that a cgroup's quota amounts to, rounded up, from the text of cpu.max (`max 100000`, `150000 100000`).
/// nullopt: no quota.  Source: Linux Documentation/admin-guide/cgroup-v2.rst.
[[nodiscard]] std::optional<int> cpus_of_quota(std::string_view cpu_max);

/// The least of the scheduling affinity and the quotas of our cgroup and all above it; at least 1.
[[nodiscard]] int usable_cpus();

}  // namespace preforkd
