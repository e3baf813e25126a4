#include "daemon/master/orphans.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto patience_after_term = 2s;

/// Whether /proc/PID/stat says: a child of ours, at the head of a process group.  Source: proc(5).
bool is_our_group_leader(pid_t pid) {
    std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
    std::string text;
    std::getline(file, text);
    const auto name_end = text.rfind(')');  // the name before it may hold anything
    if (name_end == text.npos) return false;
    std::istringstream fields{text.substr(name_end + 1)};
    char state = 0;
    pid_t parent = 0;
    pid_t group = 0;
    fields >> state >> parent >> group;
    return parent == ::getpid() && group == pid;
}

std::vector<pid_t> group_leaders_of_ours() {
    std::vector<pid_t> found;
    std::error_code ignored;  // without /proc nobody is found
    for (const auto& entry : std::filesystem::directory_iterator{"/proc", ignored}) {
        const auto pid = static_cast<pid_t>(std::atoi(entry.path().filename().c_str()));
        if (pid > 0 && is_our_group_leader(pid)) found.push_back(pid);
    }
    return found;
}

}  // namespace

void Orphans::end(pid_t worker, const IsWorker& is_worker, bool at_once, Clock::time_point now) {
    std::vector<pid_t> groups = group_leaders_of_ours();
    std::erase_if(groups, is_worker);
    groups.push_back(worker);
    for (const pid_t group : groups) {
        if (::kill(-group, at_once ? SIGKILL : SIGTERM) == -1) continue;  // nobody is left in it
        log(LogLevel::Debug, "ending what a dead worker had started",
            {{"worker_pid", std::int64_t{worker}}, {"group", std::int64_t{group}}});
        if (!at_once) asked_.push_back({.group = group, .kill_at = now + patience_after_term});
    }
}

void Orphans::maintain(const IsWorker& is_worker, Clock::time_point now) {
    // A group's number is nobody else's while it has members; one that became free may be a new worker's.
    std::erase_if(asked_,
                  [&](const HandedGroup& asked) { return ::kill(-asked.group, 0) == -1 || is_worker(asked.group); });
    for (; has_passed(deadline(), now); asked_.erase(asked_.begin())) ::kill(-asked_.front().group, SIGKILL);
}

}  // namespace preforkd
