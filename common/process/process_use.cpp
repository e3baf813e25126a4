#include "common/process/process_use.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/parse_number.hpp"
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

/// The next word of `fields`, and takes it from there.
std::string_view take_field(std::string_view& fields) {
    fields.remove_prefix(std::min(fields.size(), fields.find_first_not_of(' ')));
    const std::string_view field = fields.substr(0, fields.find(' '));
    fields.remove_prefix(field.size());
    return field;
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
    const auto stat = stat_fields(pid);
    if (!stat) return use;
    std::string_view fields = *stat;
    std::uint64_t ticks = 0;  // user and system time, its own and its children's
    std::optional<std::uint64_t> resident_pages;
    for (int number = 3; number <= 24; ++number) {
        const auto value = parse_number<std::uint64_t>(take_field(fields));
        if (number >= 14 && number <= 17) ticks += value.value_or(0);
        if (number == 24) resident_pages = value;
    }
    if (!resident_pages) return use;
    const auto ticks_per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    use.cpu = std::chrono::milliseconds{ticks * 1000 / ticks_per_second};
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
