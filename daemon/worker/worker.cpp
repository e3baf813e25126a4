#include "daemon/worker/worker.hpp"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <string>

#include "common/channel.hpp"
#include "common/descriptors.hpp"
#include "common/log_output.hpp"
#include "common/operator_error.hpp"
#include "common/sys_error.hpp"
#include "daemon/model/model.hpp"
#include "daemon/worker/control.hpp"
#include "daemon/worker/last_deadline.hpp"
#include "daemon/worker/stack_report.hpp"

namespace preforkd {

namespace {

void keep_only_own_descriptors(const WorkerPlan& plan, const WorkerSeat& seat) {
    std::vector<int> keep{seat.channel.get(), log_fd()};
    for (const Listener& listener : plan.listeners) keep.push_back(listener.fd.get());
    close_all_descriptors_except(keep);
}

/// Gives signals the meaning they have in a worker.  The master's are blocked since before the fork, so none that was
/// sent in between is lost; those that are read as data stay blocked (Control).
void take_worker_signals() {
    // A worker of a terminal's job must survive the terminal's signals: stopping is the master's to order.
    for (const int signo : {SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGPIPE}) ::signal(signo, SIG_IGN);
    ::signal(SIGCHLD, SIG_DFL);
    sigset_t blocked;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGQUIT);
    ::sigaddset(&blocked, SIGTERM);
    check(::sigprocmask(SIG_SETMASK, &blocked, nullptr), "set the worker's signal mask");
}

void take_place(const Settings& settings, const Identity& identity) {
    assume(identity);
    if (!settings.chdir.empty()) check(::chdir(settings.chdir.c_str()), "--chdir " + settings.chdir);
    if (settings.umask) ::umask(static_cast<mode_t>(*settings.umask));
}

}  // namespace

int run_worker(const WorkerPlan& plan, WorkerSeat seat) {
    const int channel = seat.channel.get();
    std::optional<Control> control;  // outlives the try: it holds the channel that a failure is reported through
    try {
        // A group of its own: Ctrl-C in the terminal reaches the master alone, and what a worker starts can be found.
        check(::setpgid(0, 0), "make a process group");
        keep_only_own_descriptors(plan, seat);
        take_worker_signals();
        set_log_worker(seat.number);
        note_errors_in(seat.record.last_error);
        count_dropped_lines_in(seat.record.dropped_log_lines);
        ::prctl(PR_SET_NAME, ("preforkd-w" + std::to_string(seat.number)).c_str());
        take_place(plan.settings, plan.identity);
        control.emplace(std::move(seat.channel));
        report_stack_on_abort(channel);
        prepare_last_deadline(LastDeadline::EndsGroup, seat.record);
        return serve_model(plan, seat, *control, [channel] { send_report(channel, Report::Kind::Ready); });
    } catch (const std::exception& error) {
        send_report(channel, Report::Kind::Failed, error.what());
        return static_cast<int>(ExitCode::Internal);
    } catch (...) {
        send_report(channel, Report::Kind::Failed, "an exception that is no std::exception");
        return static_cast<int>(ExitCode::Internal);
    }
}

int run_standalone(const WorkerPlan& plan, WorkerSeat seat, std::function<void()> ready, OperatorHooks hooks) {
    ::signal(SIGPIPE, SIG_IGN);
    // Whose orphans come here nobody can tell from a handler's own children, so none is reaped: init does it.
    if (!runs_programs_only(plan)) ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    prepare_last_deadline(LastDeadline::EndsAlone, seat.record);
    hooks.stop_timeout = plan.settings.stop_timeout;
    Control control{std::move(hooks)};
    take_place(plan.settings, plan.identity);
    return serve_model(plan, seat, control, std::move(ready));
}

}  // namespace preforkd
