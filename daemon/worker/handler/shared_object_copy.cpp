#include "daemon/worker/handler/shared_object_copy.hpp"

#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string_view>

#include "common/base/sys_error.hpp"
#include "common/base/write_all.hpp"
#include "common/config/config_file.hpp"

namespace preforkd {

namespace {

constexpr std::size_t longest_name_bytes = 249;  // memfd_create(2)

/// Linux 6.3: where vm.memfd_noexec=2 a file has to say that it is not executed, which to be mapped is not.
constexpr unsigned not_executed = 8;

template <class Structure>
std::optional<Structure> structure_at(std::string_view file, std::size_t offset) {
    if (offset > file.size() || file.size() - offset < sizeof(Structure)) return std::nullopt;
    Structure found;
    std::memcpy(&found, file.data() + offset, sizeof found);
    return found;
}

/// How much of it the loader maps: what is for debuggers lies behind, and would take memory for nothing.  What is no
/// ELF file is for the loader to refuse.
std::size_t mapped_bytes(std::string_view file) {
    const auto header = structure_at<ElfW(Ehdr)>(file, 0);
    if (!header) return file.size();
    std::size_t end = header->e_phoff + std::size_t{header->e_phnum} * sizeof(ElfW(Phdr));
    for (std::size_t number = 0; number < header->e_phnum; ++number) {
        const auto segment = structure_at<ElfW(Phdr)>(file, header->e_phoff + number * sizeof(ElfW(Phdr)));
        if (!segment) return file.size();
        if (segment->p_type == PT_LOAD) end = std::max<std::size_t>(end, segment->p_offset + segment->p_filesz);
    }
    return std::min(end, file.size());
}

}  // namespace

UniqueFd make_object_copy(const std::string& path) {
    const std::string name = path.substr(path.size() - std::min(path.size(), longest_name_bytes));
    const int copy = ::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | not_executed);
    if (copy != -1 || errno != EINVAL) return UniqueFd{check(copy, "make a file in memory")};
    return UniqueFd{check(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING), "make a file in memory")};
}

std::optional<std::string> copy_shared_object(const std::string& path, int copy) {
    try {
        const std::string file = read_config_file(path, std::numeric_limits<std::size_t>::max());
        // That is where the file lies, which a copy does not know.
        for (const std::string_view origin : {"$ORIGIN", "${ORIGIN}"})
            if (file.find(origin) != file.npos) return "it finds libraries by $ORIGIN";
        if (!write_all(copy, std::string_view{file}.substr(0, mapped_bytes(file)))) throw_errno("write a copy");
        return std::nullopt;
    } catch (const std::exception& error) { return error.what(); }
}

bool seal_object_copy(int copy) noexcept {
    return ::fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0;
}

}  // namespace preforkd
