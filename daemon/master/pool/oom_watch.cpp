#include "daemon/master/pool/oom_watch.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "common/base/parse_number.hpp"
#include "common/base/take_until.hpp"
#include "common/process/cgroup.hpp"

namespace preforkd {
namespace {

std::string read_file(const std::string& path) {
    std::ifstream file{path};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

}  // namespace

std::optional<std::uint64_t> oom_kills_in(std::string_view text) {
    constexpr std::string_view name = "oom_kill ";
    while (!text.empty()) {
        const std::string_view line = take_until(text, '\n');
        if (!line.starts_with(name)) continue;
        if (const auto count = parse_number<std::uint64_t>(line.substr(name.size()))) return count;
    }
    return std::nullopt;
}

std::string oom_events_file() {
    for (const Cgroup& group : own_cgroups("memory"))
        for (const auto& directory : group.directories) {
            const auto file = directory / (group.v2 ? "memory.events" : "memory.oom_control");
            if (std::error_code ignored; std::filesystem::exists(file, ignored)) return file;
        }
    return {};
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
