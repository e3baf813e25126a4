#include "daemon/master/pool/oom_watch.hpp"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace preforkd {
namespace {

std::string read_file(const std::string& path) {
    std::ifstream file{path};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// The file of the nearest group at or above `group`: in a container the path may be the host's, whose root we see.
std::string nearest(const std::filesystem::path& mount, std::filesystem::path group, std::string_view name) {
    for (;; group = group.parent_path()) {
        const auto file = mount / group.relative_path() / name;
        if (std::error_code ignored; std::filesystem::exists(file, ignored)) return file;
        if (!group.has_relative_path()) return {};
    }
}

}  // namespace

std::optional<std::uint64_t> oom_kills_in(std::string_view text) {
    constexpr std::string_view name = "oom_kill ";
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        std::uint64_t count = 0;
        if (line.starts_with(name) &&
            std::from_chars(line.data() + name.size(), line.data() + line.size(), count).ec == std::errc{})
            return count;
    }
    return std::nullopt;
}

std::string oom_events_file() {
    std::ifstream membership{"/proc/self/cgroup"};  // lines of `ID:CONTROLLERS:PATH`; v2 is `0::PATH`
    std::string v2;
    for (std::string line; std::getline(membership, line);) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = ',' + line.substr(first + 1, second - first - 1) + ',';
        const std::string path = line.substr(second + 1);
        if (controllers.find(",memory,") != std::string::npos)
            return nearest("/sys/fs/cgroup/memory", path, "memory.oom_control");
        if (controllers == ",,") v2 = nearest("/sys/fs/cgroup", path, "memory.events");
    }
    return v2;
}

OomWatch::OomWatch(std::string file) : file_{std::move(file)}, seen_{count()} {}

std::uint64_t OomWatch::count() const {
    const std::string file = file_.empty() ? oom_events_file() : file_;
    return file.empty() ? 0 : oom_kills_in(read_file(file)).value_or(0);
}

bool OomWatch::is_to_blame(bool killed) {
    const std::uint64_t now = count();
    if (now > seen_) unclaimed_ += now - seen_;
    seen_ = now;  // less than before: moved to another group
    if (!killed || unclaimed_ == 0) return false;
    --unclaimed_;
    return true;
}

}  // namespace preforkd
