#include "daemon/master/upgrade/keeper.hpp"

#include <sys/prctl.h>

#include <array>
#include <csignal>

#include "common/base/shortage.hpp"
#include "common/control/rehearsal_verdict.hpp"
#include "common/log/log_output.hpp"
#include "common/process/exit_report.hpp"
#include "daemon/master/pool/process_list.hpp"
#include "daemon/master/upgrade/process_tree.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto patience_after_term = 3s;  // run_process_tree() needs two at most
constexpr auto patience_after_kill = 1s;
constexpr auto look_again = 20ms;

void kill_all(const std::vector<ProcessEntry>& processes) {
    for (const ProcessEntry& each : processes) ::kill(each.pid, SIGKILL);
}

}  // namespace

std::string without_verdict(const ExitReport& end) {
    return "the rehearsal of the new image " + describe(end) +
           " without a verdict: install a preforkd that starts there";
}

int keep_rehearsal(pid_t master, int report, const std::function<int()>& become_new) {
    try {
        const std::array<int, 2> keep{report, log_fd()};
        const TreeEnd tree = run_process_tree(master, keep, [&] {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            sigset_t none;
            ::sigemptyset(&none);
            ::sigprocmask(SIG_SETMASK, &none, nullptr);  // a script, and what it starts, shall hear SIGTERM
            return become_new();
        });
        if (!has_verdict(report))
            write_verdict(report, tree.root ? without_verdict(*tree.root)
                                            : std::string{"the rehearsal of the new image cannot be ended"});
        if (!tree.ended.empty())
            log(tree.all_gone ? LogLevel::Notice : LogLevel::Error,
                tree.all_gone ? "ended what the rehearsal of the new image had left running: {processes}"
                              : "what the rehearsal of the new image has left running cannot be ended: {processes}",
                {{"processes", tree.ended}});
        return 0;
    } catch (const std::exception& error) { write_verdict(report, with_remedy(error)); }
    return 1;
}

void Keeper::end(Clock::time_point now) {
    child_.signal(SIGTERM);
    child_.signal(SIGCONT);  // stopped, it would not hear that
    deadline_ = now + patience_after_term;
}

void Keeper::maintain(Clock::time_point now) {
    if (!has_passed(deadline_, now)) return;
    const std::vector<ProcessEntry> kept = list_descendants(pid());
    if (!give_up_at_) {
        give_up_at_ = now + patience_after_kill;
        log(LogLevel::Warning,
            "the keeper of the rehearsal was stopped, or is stuck: killing it (pid {keeper_pid}) and {processes}",
            {{"keeper_pid", std::int64_t{pid()}}, {"processes", names_of(kept)}});
    }
    if (kept.empty() || now >= *give_up_at_) return kill();
    kill_all(kept);
    deadline_ = now + look_again;
}

void Keeper::kill() {
    kill_all(list_descendants(pid()));
    child_.signal(SIGKILL);
    deadline_.reset();
}

}  // namespace preforkd
