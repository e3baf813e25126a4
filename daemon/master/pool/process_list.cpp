#include "daemon/master/pool/process_list.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>

namespace preforkd {

namespace {

std::optional<ProcessEntry> read_entry(pid_t pid) {
    std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
    std::string text;
    std::getline(file, text, '\0');         // a read that fails, of one that has just gone, is no exception here
    const auto name_end = text.rfind(')');  // the name before it may hold anything
    if (name_end == text.npos) return std::nullopt;
    ProcessEntry entry{.pid = pid};
    std::istringstream fields{text.substr(name_end + 1)};
    fields >> entry.state >> entry.parent >> entry.group >> entry.session;
    return entry;
}

}  // namespace

std::vector<ProcessEntry> list_processes() {
    std::vector<ProcessEntry> found;
    std::error_code ignored;
    std::filesystem::directory_iterator file{"/proc", ignored};
    for (; file != std::filesystem::directory_iterator{}; file.increment(ignored)) {
        const auto pid = static_cast<pid_t>(std::atoi(file->path().filename().c_str()));
        if (pid <= 0) continue;
        if (auto entry = read_entry(pid)) found.push_back(*entry);
    }
    return found;
}

std::vector<ProcessEntry> list_descendants(pid_t ancestor) {
    const std::vector<ProcessEntry> all = list_processes();
    std::vector<ProcessEntry> found;
    std::vector<pid_t> parents{ancestor};
    for (std::size_t i = 0; i < parents.size(); ++i)
        for (const ProcessEntry& each : all) {
            if (each.parent != parents[i]) continue;
            parents.push_back(each.pid);
            if (each.state != 'Z') found.push_back(each);
        }
    return found;
}

}  // namespace preforkd
