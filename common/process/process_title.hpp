#pragma once
// What ps(1), top(1) and systemctl(1) show as a process's command line.
#include <string_view>

namespace preforkd {

/// From now on that of the calling process is `PROGRAM: title`; its children have it too, until they execute
/// something.  The words that main() was given stay where they are.
///
/// It stays as it was without /proc, and where the kernel does not let a process say where its arguments are
/// (CONFIG_CHECKPOINT_RESTORE).  Not in a sandbox.  Source: PR_SET_MM_MAP, prctl(2).
void set_process_title(std::string_view title);

}  // namespace preforkd
