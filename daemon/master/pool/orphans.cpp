#include "daemon/master/pool/orphans.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "daemon/master/pool/process_list.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto patience_with_orphans = 2s;
constexpr auto patience_with_all = 5s;

std::vector<pid_t> group_leaders_left_by(pid_t worker) {
    std::vector<pid_t> found;
    for (const ProcessEntry& each : list_processes())
        if (each.parent == ::getpid() && each.session == worker && each.group == each.pid) found.push_back(each.pid);
    return found;
}

}  // namespace

void Orphans::end(pid_t worker, bool at_once, Clock::time_point now) {
    std::vector<pid_t> groups = group_leaders_left_by(worker);
    groups.push_back(worker);
    for (const pid_t group : groups) {
        if (::kill(-group, at_once ? SIGKILL : SIGTERM) == -1) continue;  // nobody is left in it
        log(LogLevel::Debug, "terminating process group {group}, started by dead worker {worker_pid}",
            {{"worker_pid", std::int64_t{worker}}, {"group", std::int64_t{group}}});
        if (!at_once) asked_.push_back({.group = group, .kill_at = now + patience_with_orphans});
    }
}

void Orphans::end_all(const IsOurs& is_ours, Clock::time_point now) {
    const bool first = !give_up_at_;
    if (first) give_up_at_ = now + patience_with_all;
    if (has_passed(give_up_at_, now)) return;
    const std::size_t before = asked_.size();
    const pid_t own_session = ::getsid(0);
    for (const ProcessEntry& each : list_processes()) {
        const bool is_asked = std::ranges::find(asked_, each.group, &HandedGroup::group) != asked_.end();
        if (each.parent != ::getpid() || each.session == own_session || each.state == 'Z' || is_asked ||
            is_ours(each.pid))
            continue;
        if (::kill(-each.group, SIGTERM) == 0)
            asked_.push_back({.group = each.group, .kill_at = now + patience_with_orphans});
    }
    if (first && asked_.size() != before)
        log(LogLevel::Notice,
            "terminating {groups} process groups that workers have left behind; --leave-orphans yes "
            "lets them live",
            {{"groups", std::uint64_t{asked_.size() - before}}});
}

void Orphans::maintain(const IsOurs& is_ours, Clock::time_point now) {
    // A group's number is nobody else's while it has members; one that became free may be a new worker's.
    std::erase_if(asked_,
                  [&](const HandedGroup& asked) { return ::kill(-asked.group, 0) == -1 || is_ours(asked.group); });
    for (; has_passed(deadline(), now); asked_.erase(asked_.begin())) ::kill(-asked_.front().group, SIGKILL);
}

}  // namespace preforkd
