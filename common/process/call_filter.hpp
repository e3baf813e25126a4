#pragma once
// Filters of system calls: made in the master, put on by workers.
#include <linux/filter.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/process/sandbox_policy.hpp"

namespace preforkd {

/// The program that the kernel runs for each system call.  Empty: no filter.
using FilterProgram = std::vector<sock_filter>;

/// Why this process cannot have a filter, whichever it is: a kernel without them, or a filter that forbids it.
[[nodiscard]] std::optional<std::string> why_no_filter() noexcept;

/// Takes away what no model needs; for this machine and the older one that it can run programs of.
/// `immovable`: pages whose mappings shall stay what they are, since mremap(2) reaches the rest of their files without
/// a descriptor; empty: none.  Throws std::runtime_error when libseccomp cannot be loaded or refuses.
[[nodiscard]] FilterProgram make_deny_filter(std::span<const std::byte> immovable = {});

/// Leaves `allowed`, and has the thread that tries something else get SIGSYS.  Throws likewise.
[[nodiscard]] FilterProgram make_allow_filter(std::span<const CallRule> allowed,
                                              std::span<const std::byte> immovable = {});

/// The names of this machine's system calls by their numbers.  Throws likewise.
[[nodiscard]] std::vector<std::string> names_of_calls();

/// From now on the kernel asks `program` about each system call of this thread, of those it starts and of their
/// children, for good.  Takes no_new_privs, or root.  Throws std::system_error.  Source: seccomp(2).
void install_filter(const FilterProgram& program);

}  // namespace preforkd
