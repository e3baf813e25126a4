#include "common/process/process_tree.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace preforkd {
namespace {

/// What its threads have started, each of which has children of its own.
void add_children(pid_t pid, std::vector<pid_t>& found) {
    std::error_code gone;
    std::filesystem::directory_iterator thread{fmt::format("/proc/{}/task", pid), gone};
    for (; !gone && thread != std::filesystem::directory_iterator{}; thread.increment(gone)) {
        std::ifstream children{thread->path() / "children"};
        for (pid_t child = 0; children >> child;) found.push_back(child);
    }
}

/// In kB each, summed over `names`; nullopt: it is not told.
std::optional<std::uint64_t> sum_of_rollup(pid_t pid, std::initializer_list<std::string_view> names) {
    std::ifstream rollup{fmt::format("/proc/{}/smaps_rollup", pid)};
    std::uint64_t sum = 0;
    bool found = false;
    for (std::string word; rollup >> word;)
        for (const std::string_view name : names)
            if (std::uint64_t number = 0; word == name && rollup >> number) {
                sum += number;
                found = true;
            }
    return found ? std::optional{sum} : std::nullopt;
}

}  // namespace

std::vector<pid_t> processes_below(pid_t ancestor) {
    std::vector<pid_t> found;
    add_children(ancestor, found);
    for (std::size_t next = 0; next < found.size(); ++next) add_children(found[next], found);
    return found;
}

std::uint64_t anonymous_bytes_of(pid_t pid, bool exactly) {
    constexpr std::uint64_t kilobyte = 1024;
    if (exactly)
        if (const auto sum = sum_of_rollup(pid, {"Pss_Anon:", "SwapPss:"})) return *sum * kilobyte;
    std::ifstream statm{fmt::format("/proc/{}/statm", pid)};
    std::uint64_t size = 0;
    std::uint64_t resident = 0;
    std::uint64_t shared = 0;
    if (!(statm >> size >> resident >> shared) || resident < shared) return 0;
    return (resident - shared) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace preforkd
