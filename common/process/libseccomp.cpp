#include "common/process/libseccomp.hpp"

#include <array>
#include <cstdint>

// As text, for the note below as well.
#define PREFORKD_LIBSECCOMP "libseccomp.so.2"

namespace preforkd {
namespace {

constexpr auto note_text = std::to_array(R"([{"feature":"seccomp","description":"The sandbox of workers",)"
                                         R"("priority":"recommended","soname":[")" PREFORKD_LIBSECCOMP R"("]}])");

alignas(std::uint32_t)
    [[gnu::used, gnu::section(".note.dlopen")]] constexpr DlopenNote<note_text.size()> note{.text = note_text};

}  // namespace

Libseccomp::Libseccomp() : library_{PREFORKD_LIBSECCOMP} {
    library_.find("seccomp_init", init);
    library_.find("seccomp_release", release);
    library_.find("seccomp_arch_add", arch_add);
    library_.find("seccomp_attr_set", attr_set);
    library_.find("seccomp_rule_add_array", rule_add);
    library_.find("seccomp_syscall_resolve_name", number_of);
    library_.find("seccomp_syscall_resolve_num_arch", name_of);
    library_.find("seccomp_export_bpf", export_bpf);
}

}  // namespace preforkd
