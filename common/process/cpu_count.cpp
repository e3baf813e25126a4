#include "common/process/cpu_count.hpp"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string>

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

/// The tightest quota from `group` up to the root of the hierarchy mounted at `mount`.
std::optional<int> tightest(const std::filesystem::path& mount, std::filesystem::path group,
                            std::optional<int> (*quota_of)(const std::filesystem::path&)) {
    std::optional<int> cpus;
    for (;; group = group.parent_path()) {
        cpus = fewer(cpus, quota_of(mount / group.relative_path()));
        if (!group.has_relative_path()) return cpus;
    }
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

std::optional<int> quota_of_this_process() {
    std::ifstream membership{"/proc/self/cgroup"};  // lines of `ID:CONTROLLERS:PATH`; v2 is `0::PATH`
    std::optional<int> cpus;
    for (std::string line; std::getline(membership, line);) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const std::string path = line.substr(second + 1);
        if (controllers.empty())
            cpus = fewer(cpus, tightest("/sys/fs/cgroup", path, quota_v2));
        else if (controllers == "cpu" || controllers.starts_with("cpu,") || controllers.ends_with(",cpu"))
            cpus = fewer(cpus, tightest("/sys/fs/cgroup/cpu", path, quota_v1));
    }
    return cpus;
}

}  // namespace

std::optional<int> cpus_of_quota(std::string_view cpu_max) {
    const auto space = cpu_max.find(' ');
    if (space == std::string_view::npos || cpu_max.starts_with("max")) return std::nullopt;
    long long quota = 0;
    long long period = 0;
    const auto [quota_end, quota_error] = std::from_chars(cpu_max.data(), cpu_max.data() + space, quota);
    const auto [period_end, period_error] =
        std::from_chars(cpu_max.data() + space + 1, cpu_max.data() + cpu_max.size(), period);
    if (quota_error != std::errc{} || period_error != std::errc{} || quota <= 0 || period <= 0) return std::nullopt;
    return static_cast<int>(std::min<long long>(quota / period + (quota % period != 0 ? 1 : 0), 1'000'000));
}

int usable_cpus() {
    cpu_set_t affinity;
    CPU_ZERO(&affinity);
    // More than CPU_SETSIZE processors make the call fail; then the quota alone decides, or 1.
    const int allowed = ::sched_getaffinity(0, sizeof affinity, &affinity) == 0 ? CPU_COUNT(&affinity) : 1;
    return std::max(1, std::min(allowed, quota_of_this_process().value_or(allowed)));
}

}  // namespace preforkd
