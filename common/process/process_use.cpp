#include "common/process/process_use.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "common/process/proc_stat.hpp"

namespace preforkd {
namespace {

constexpr std::uint64_t most_entries = 10'000;  // which take the kernel some milliseconds

std::optional<std::uint64_t> descriptors_of(pid_t pid) {
    const std::string path = fmt::format("/proc/{}/fd", pid);
    struct stat directory {};
    if (::stat(path.c_str(), &directory) == -1) return std::nullopt;
    if (directory.st_size > 0) return static_cast<std::uint64_t>(directory.st_size);
    const std::unique_ptr<DIR, int (*)(DIR*)> open{::opendir(path.c_str()), ::closedir};
    if (!open) return std::nullopt;
    std::uint64_t entries = 0;
    while (const dirent* const entry = ::readdir(open.get())) {
        if (entry->d_name[0] == '.') continue;
        if (++entries > most_entries) return std::nullopt;
    }
    return entries;
}

std::chrono::milliseconds cpu_in(const ProcStat& stat) {
    std::uint64_t ticks = 0;
    for (const int number : {14, 15, 16, 17})  // user and system time, its own and its children's
        ticks += stat.field(number).value_or(0);
    return std::chrono::milliseconds{ticks * 1000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK))};
}

}  // namespace

std::optional<std::chrono::milliseconds> cpu_time_of(pid_t pid) {
    const auto stat = ProcStat::of(pid);
    return stat ? std::optional{cpu_in(*stat)} : std::nullopt;
}

ProcessUse use_of_process(pid_t pid) {
    ProcessUse use{.open_descriptors = descriptors_of(pid)};
    const auto stat = ProcStat::of(pid);
    if (!stat) return use;
    const auto resident_pages = stat->field(24);
    if (!resident_pages) return use;
    use.cpu = cpu_in(*stat);
    use.resident_bytes = *resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return use;
}

const ProcessUse& SampledUse::of(pid_t pid, Clock::time_point now) {
    if (!sampled_ || now - *sampled_ >= most_age) {
        use_ = use_of_process(pid);
        sampled_ = now;
    }
    return use_;
}

}  // namespace preforkd
