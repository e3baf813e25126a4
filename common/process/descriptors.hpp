#pragma once
// The process's table of open files as a whole.
#include <sys/resource.h>

#include <cstddef>
#include <span>

namespace preforkd {

/// Closes every descriptor above 2 that is not in `keep`, which it sorts.  For the first lines of a child, which
/// inherited the master's signalfd, its ends of the siblings' channels and whatever its parent left open.
/// Source: close_range(2).
void close_all_descriptors_except(std::span<int> keep);

/// Opens /dev/null in place of a closed standard descriptor, so that no socket is taken for standard error.
void open_standard_descriptors() noexcept;

/// RLIMIT_NOFILE as this process was given it, and as it is after raise_descriptor_limit().
struct DescriptorLimit {
    rlimit original{};
    std::size_t usable = 0;  ///< the soft limit now in force
};

/// Raises the soft limit to the hard one.  Programs we start get the original back: select(2) in old ones breaks
/// beyond 1024.  Source: setrlimit(2); systemd's file-descriptor limits.
[[nodiscard]] DescriptorLimit raise_descriptor_limit();

/// How many of `wanted` more descriptors this process could open now.  Tried, not counted: also the system's own limit
/// (fs.file-max) is found, and without /proc.
[[nodiscard]] std::size_t spare_descriptors(std::size_t wanted);

}  // namespace preforkd
