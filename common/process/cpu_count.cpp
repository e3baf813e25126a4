#include "common/process/cpu_count.hpp"

#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "common/base/parse_number.hpp"
#include "common/process/cgroup.hpp"

namespace preforkd {

namespace {

std::optional<std::string> read_text(const std::filesystem::path& path) {
    std::ifstream file{path};
    std::string text;
    if (!std::getline(file, text)) return std::nullopt;
    return text;
}

std::optional<int> fewer(std::optional<int> a, std::optional<int> b) {
    if (!a) return b;
    if (!b) return a;
    return std::min(*a, *b);
}

std::optional<int> quota_v2(const std::filesystem::path& group) {
    const auto text = read_text(group / "cpu.max");
    return text ? cpus_of_quota(*text) : std::nullopt;
}

std::optional<int> quota_v1(const std::filesystem::path& group) {
    const auto quota = read_text(group / "cpu.cfs_quota_us");
    const auto period = read_text(group / "cpu.cfs_period_us");
    return quota && period && quota->front() != '-' ? cpus_of_quota(*quota + ' ' + *period) : std::nullopt;
}

/// The tightest quota of our groups and of those above them.
std::optional<int> quota_of_this_process() {
    std::optional<int> cpus;
    for (const Cgroup& group : own_cgroups("cpu"))
        for (const auto& directory : group.directories)
            cpus = fewer(cpus, group.v2 ? quota_v2(directory) : quota_v1(directory));
    return cpus;
}

}  // namespace

std::optional<int> cpus_of_quota(std::string_view cpu_max) {
    const auto space = cpu_max.find(' ');
    if (space == std::string_view::npos || cpu_max.starts_with("max")) return std::nullopt;
    const auto quota = parse_number<long long>(cpu_max.substr(0, space));
    cpu_max.remove_prefix(space + 1);
    const auto period = take_number<long long>(cpu_max);
    if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;
    return static_cast<int>(std::min<long long>(*quota / *period + (*quota % *period != 0 ? 1 : 0), 1'000'000));
}

int usable_cpus() {
    cpu_set_t affinity;
    CPU_ZERO(&affinity);
    // More than CPU_SETSIZE processors make the call fail; then the quota alone decides, or 1.
    const int allowed = ::sched_getaffinity(0, sizeof affinity, &affinity) == 0 ? CPU_COUNT(&affinity) : 1;
    return std::max(1, std::min(allowed, quota_of_this_process().value_or(allowed)));
}

}  // namespace preforkd
