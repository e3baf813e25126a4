#include "common/process/process_use.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>

#include "common/base/unique_fd.hpp"

namespace preforkd {
namespace {

constexpr std::uint64_t most_entries = 10'000;  // which take the kernel some milliseconds

/// The fields of `stat` from the third on: the second is a name, which may have anything in it.
std::optional<std::string> stat_fields(pid_t pid) {
    const UniqueFd file{::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC)};
    std::array<char, 1024> text{};
    const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
    if (size <= 0) return std::nullopt;
    const std::string_view line{text.data(), static_cast<std::size_t>(size)};
    const std::size_t name_ends = line.rfind(')');
    if (name_ends == line.npos) return std::nullopt;
    return std::string{line.substr(name_ends + 1)};
}

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

}  // namespace

ProcessUse use_of_process(pid_t pid) {
    ProcessUse use{.open_descriptors = descriptors_of(pid)};
    const auto fields = stat_fields(pid);
    if (!fields) return use;
    std::istringstream line{*fields};
    std::string skipped;
    for (int field = 3; field < 14; ++field) line >> skipped;
    std::array<std::uint64_t, 4> ticks{};  // user and system time, its own and its children's
    for (std::uint64_t& each : ticks) line >> each;
    for (int field = 18; field < 24; ++field) line >> skipped;
    std::uint64_t resident_pages = 0;
    if (!(line >> resident_pages)) return use;
    const auto ticks_per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    use.cpu = std::chrono::milliseconds{(ticks[0] + ticks[1] + ticks[2] + ticks[3]) * 1000 / ticks_per_second};
    use.resident_bytes = resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    return use;
}

}  // namespace preforkd
