#pragma once

namespace preforkd {

/// Makes each system call once that a master cannot do without and that an old kernel, or a container's seccomp
/// profile, does not know.  Better refused before anything is bound than a pool whose workers never start.
/// Throws OperatorError that names the call and what would allow it; std::system_error where only a limit is reached.
void check_kernel();

/// Says in the log what is missing where /proc is not mounted.  Nothing that serves needs it.
void warn_without_proc() noexcept;

}  // namespace preforkd
