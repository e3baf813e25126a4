#include "common/process/proc_stat.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "common/base/parse_number.hpp"
#include "common/base/unique_fd.hpp"

namespace preforkd {

std::optional<ProcStat> ProcStat::of(pid_t pid) {
    const UniqueFd file{::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC)};
    std::array<char, 1024> text{};
    const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
    if (size <= 0) return std::nullopt;
    const std::string_view line{text.data(), static_cast<std::size_t>(size)};
    const std::size_t name_ends = line.rfind(") ");
    if (name_ends == line.npos) return std::nullopt;
    return ProcStat{std::string{line.substr(name_ends + 2)}};
}

std::optional<std::uint64_t> ProcStat::field(int number) const noexcept {
    std::string_view fields = fields_;
    for (; number > 3 && !fields.empty(); --number) fields.remove_prefix(std::min(fields.size(), fields.find(' ') + 1));
    return parse_number<std::uint64_t>(fields.substr(0, fields.find_first_of(" \n")));
}

}  // namespace preforkd
