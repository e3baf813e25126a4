#include "daemon/master/upgrade/process_tree.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <vector>

#include "common/base/clock.hpp"
#include "common/process/descriptors.hpp"
#include "common/process/spawn.hpp"
#include "daemon/master/pool/process_list.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

// Together less than a fast stop lasts, at whose end the master kills this process too.
constexpr auto patience_after_term = 1s;
constexpr auto patience_after_kill = 900ms;

/// Waits for SIGCHLD or SIGTERM; 0 at the deadline, and now and then for nothing.
int wait_for_signal(Deadline until) {
    sigset_t wanted;
    ::sigemptyset(&wanted);
    ::sigaddset(&wanted, SIGCHLD);
    ::sigaddset(&wanted, SIGTERM);
    if (!until) return std::max(::sigwaitinfo(&wanted, nullptr), 0);
    const auto left = std::max<std::chrono::nanoseconds>(*until - Clock::now(), 0ns);
    const timespec patience{.tv_sec = left / 1s, .tv_nsec = (left % 1s).count()};
    return std::max(::sigtimedwait(&wanted, nullptr, &patience), 0);
}

/// Collects everybody but `spared` who has ended; false when this process has no child.
bool reap_all_but(pid_t spared) {
    for (;;) {
        siginfo_t child{};
        if (::waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == -1) return false;
        if (child.si_pid == 0 || child.si_pid == spared) return true;
        ::waitid(P_PID, static_cast<id_t>(child.si_pid), &child, WEXITED | WNOHANG);
    }
}

bool has_ended(pid_t child) {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

std::vector<ProcessEntry> living_children() {
    std::vector<ProcessEntry> found = list_processes();
    std::erase_if(found, [](const ProcessEntry& each) { return each.parent != ::getpid() || each.state == 'Z'; });
    return found;
}

/// Ends every child, and who comes to us when one of them has ended.  Whoever is our child cannot be mistaken for
/// another process: nobody else reaps it.
bool end_all(std::optional<ExitReport>& root_end, const ChildProcess& root) {
    const auto kill_at = Clock::now() + patience_after_term;
    const auto give_up_at = kill_at + patience_after_kill;
    std::set<pid_t> asked;
    for (auto now = Clock::now(); now < give_up_at; now = Clock::now()) {
        if (!root_end && has_ended(root.pid())) root_end = root.try_reap();
        if (!reap_all_but(root_end ? 0 : root.pid())) return true;
        const bool too_late_to_ask = now >= kill_at;
        if (too_late_to_ask && !root_end) ::kill(-root.pid(), SIGKILL);  // also where there is no /proc
        for (const ProcessEntry& child : living_children()) {
            if (!asked.insert(child.pid).second && !too_late_to_ask) continue;
            const int signo = too_late_to_ask ? SIGKILL : SIGTERM;
            ::kill(child.pid, signo);
            if (child.group == child.pid) ::kill(-child.pid, signo);
        }
        wait_for_signal(too_late_to_ask ? give_up_at : kill_at);
    }
    return false;
}

}  // namespace

TreeEnd run_process_tree(pid_t parent, std::span<const int> keep, const std::function<int()>& root) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    const ChildProcess child = spawn([&] {
        ::setpgid(0, 0);
        return root();
    });
    ::setpgid(child.pid(), child.pid());  // whoever of the two comes first
    std::vector<int> kept{keep.begin(), keep.end()};
    kept.push_back(child.pidfd());
    close_all_descriptors_except(kept);

    bool ordered = ::getppid() != parent;  // it was dead before it could be a signal
    while (!ordered && !has_ended(child.pid())) {
        (void)reap_all_but(child.pid());
        ordered = wait_for_signal({}) == SIGTERM;
    }
    TreeEnd end{.ended = names_of(list_descendants(::getpid()))};
    ::kill(-child.pid(), SIGTERM);  // until the root is reaped its group's number cannot be anybody else's
    end.all_gone = end_all(end.root, child);
    return end;
}

}  // namespace preforkd
