#include "common/process/process_title.hpp"

#include <linux/prctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/process/proc_stat.hpp"

namespace preforkd {
namespace {

std::uint64_t address_of(const void* place) { return reinterpret_cast<std::uintptr_t>(place); }

/// Where this program's parts are in its memory, which its children inherit.
std::optional<::prctl_mm_map> memory_map() {
    const auto stat = ProcStat::of(::getpid());
    if (!stat) return std::nullopt;
    const auto at = [&](int number) { return __u64{stat->field(number).value_or(0)}; };
    return ::prctl_mm_map{.start_code = at(26),
                          .end_code = at(27),
                          .start_data = at(45),
                          .end_data = at(46),
                          .start_brk = at(47),
                          .brk = 0,
                          .start_stack = at(28),
                          .arg_start = at(48),
                          .arg_end = at(49),
                          .env_start = at(50),
                          .env_end = at(51),
                          .auxv = nullptr,  // as it is
                          .auxv_size = 0,
                          .exe_fd = static_cast<__u32>(-1)};
}

}  // namespace

void set_process_title(std::string_view title) {
    static const std::optional<::prctl_mm_map> map = memory_map();
    if (!map) return;
    auto text =
        std::make_unique<const std::string>(std::string{program_invocation_short_name}.append(": ").append(title));
    ::prctl_mm_map changed = *map;
    changed.brk = address_of(::sbrk(0));
    changed.arg_start = address_of(text->c_str());
    changed.arg_end = changed.arg_start + text->size() + 1;
    if (::prctl(PR_SET_MM, PR_SET_MM_MAP, &changed, sizeof changed, 0UL) == -1) return;
    // The kernel reads it whenever somebody asks, until the very end.
    static auto& shown = *new std::unique_ptr<const std::string>;
    shown.swap(text);
}

}  // namespace preforkd
