#pragma once
// Which files a process may reach: Landlock.
#include <span>
#include <string>

namespace preforkd {

/// A file, or a directory with all that is in it.
struct AllowedPath {
    std::string path{};
    bool written = false;  ///< else read and executed only
    std::string option{};  ///< who has named it, such as `--allow-read`; empty: nobody, and it may be missing
    bool in_proc = false;  ///< stays open, for good
};

/// Which version of Landlock the kernel has; 0: none, or it is not enabled, or a filter denies it.
/// Source: landlock(7).
[[nodiscard]] int landlock_version() noexcept;

/// From now on this thread and what it starts reach the files that `allowed` names, and signal nobody but each other
/// (since Linux 6.12), for good.  What is open stays open; metadata, stat(2), can be read of every file.  A file that
/// may not be reached is EACCES.  Takes no_new_privs, or root.  Throws std::system_error, of what an option names with
/// the option.
void allow_files_only(std::span<const AllowedPath> allowed);

}  // namespace preforkd
