#pragma once
// libseccomp, which is opened to have a filter made, and closed again.
//
// It knows the numbers of system calls on each architecture, and the program that the kernel runs.  Linked, its
// mappings would be part of every fork.
#include <seccomp.h>

#include "common/base/loaded_library.hpp"

namespace preforkd {

class Libseccomp {
public:
    /// Throws std::runtime_error with the loader's sentence when it cannot be loaded.
    Libseccomp();

private:
    LoadedLibrary library_;

public:
    // Source: seccomp_init(3), seccomp_rule_add(3), seccomp_attr_set(3), seccomp_export_bpf(3) and others.
    decltype(&::seccomp_init) init{};
    decltype(&::seccomp_release) release{};
    decltype(&::seccomp_arch_add) arch_add{};
    decltype(&::seccomp_attr_set) attr_set{};
    decltype(&::seccomp_rule_add_array) rule_add{};
    decltype(&::seccomp_syscall_resolve_name) number_of{};
    decltype(&::seccomp_syscall_resolve_num_arch) name_of{};
    decltype(&::seccomp_export_bpf) export_bpf{};
};

}  // namespace preforkd
