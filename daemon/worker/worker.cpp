#include "daemon/worker/worker.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "common/base/shortage.hpp"
#include "common/base/sys_error.hpp"
#include "common/channel/channel.hpp"
#include "common/channel/source_table.hpp"
#include "common/log/log_output.hpp"
#include "common/process/descriptors.hpp"
#include "common/process/isolation.hpp"
#include "common/process/wide_pipe.hpp"
#include "common/tls/signer.hpp"
#include "daemon/worker/handler/shared_object_loading.hpp"
#include "daemon/worker/model/serve_model.hpp"
#include "daemon/worker/process/child_signals.hpp"
#include "daemon/worker/process/lifeline.hpp"
#include "daemon/worker/process/stack_report.hpp"
#include "daemon/worker/process/take_place.hpp"
#include "daemon/worker/process/worker_control.hpp"

namespace preforkd {

namespace {

void keep_only_own_descriptors(const WorkerPlan& plan, const WorkerHandoff& handoff, int printed_fd) {
    std::vector<int> keep{handoff.channel.orders.get(),
                          handoff.channel.reports.get(),
                          printed_fd,
                          log_fd(),
                          handoff.log_pipe,
                          handoff.signing.requests.get(),
                          handoff.signing.answers.get(),
                          handoff.shared.memory.get(),
                          handoff.shared.bus.get(),
                          handoff.shared.wakeup.get()};
    for (const Listener& listener : plan.listeners) keep.push_back(listener.fd.get());
    for (const std::shared_ptr<SharedObject>& object : plan.objects) keep.push_back(object->copy());
    close_all_descriptors_except(keep);
}

/// Who can reach them could take clients that the other's worker would have served.
void close_listeners_of_others(const WorkerPlan& plan) {
    for (Listener& listener : plan.listeners)
        if (!is_own(listener, plan)) listener.fd = {};
}

void keep_counts_from_children(const WorkerPlan& plan) {
    for (const Listener& listener : plan.listeners)
        if (listener.sources) listener.sources->keep_from_children();
}

/// From now on the file that the master logs into is out of reach.
void log_only_into(int pipe) {
    if (pipe < 0) return;
    log_into_pipe(pipe);
    ::close(pipe);
}

/// For one whose master, if there is one, has made nothing that it could share with others.
SharedEnds shared_with_nobody(const WorkerPlan& plan) {
    const OwnAreas areas{some_handler(&HandlerEntry::uses_shared_memory, plan),
                         some_handler(&HandlerEntry::uses_bus, plan)};
    return areas.ends();
}

/// Of whose clients at once the bytes go by those: two, in both directions.  Who comes then has one of 64 KiB, which
/// costs half as much CPU again.
std::vector<WidePipe> wide_pipes_for(const WorkerPlan& plan) {
    constexpr std::size_t most = 4;
    const bool forwards = plan.model == Model::Async && some_handler(&HandlerEntry::forwards, plan);
    return make_wide_pipes(forwards ? most : 0);
}

/// Each once, a program without its folder.
std::string servers_of(const WorkerPlan& plan) {
    std::set<std::string> names;
    for (const Listener& listener : plan.listeners) {
        if (!is_own(listener, plan)) continue;
        const std::string& server = server_of(listener.settings, plan.settings);
        names.insert(is_program_at(listener.settings, plan.settings) ? server.substr(server.rfind('/') + 1) : server);
    }
    return printable(fmt::format("{}", fmt::join(names, ", ")));
}

std::string not_an_exception(const WorkerPlan& plan) {
    return fmt::format("handler {}: it threw something not derived from std::exception", servers_of(plan));
}

/// Gives signals the meaning they have in a worker.  The master's are blocked since before the fork, so none that was
/// sent in between is lost; those that are read as data stay blocked (WorkerControl).
void take_worker_signals() {
    // Those that mean something to a master, sent to all: stopping is the master's to order.
    for (const int signo : {SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGPIPE}) ::signal(signo, SIG_IGN);
    ::signal(SIGCHLD, SIG_DFL);
    sigset_t blocked;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGQUIT);
    ::sigaddset(&blocked, SIGTERM);
    check(::sigprocmask(SIG_SETMASK, &blocked, nullptr), "set the worker's signal mask");
}

/// From now on what handlers print is the pipe's.
void redirect_standard_output(OutputPipe& output, bool read_by_loop) {
    line_buffer_standard_output();
    // A hook that runs in the loop's thread must not wait for the loop to read.  As much as the kernel lets us have.
    constexpr int enough_for_a_hook_bytes = 1 << 20;
    if (read_by_loop) (void)::fcntl(output.writer.get(), F_SETPIPE_SZ, enough_for_a_hook_bytes);
    if (output.writer) check(::dup2(output.writer.get(), STDOUT_FILENO), "redirect standard output");
    output.writer = {};
}

}  // namespace

int run_worker(const WorkerPlan& plan, WorkerHandoff handoff) {
    const int reports = handoff.channel.reports.get();
    std::optional<PrintedLines> printed;
    std::optional<WorkerControl> control;  // outlives the try: it holds the channel that a failure is reported through
    try {
        redirect_standard_output(handoff.output, !runs_handlers_itself(plan));
        if (handoff.output.reader) printed.emplace(std::move(handoff.output.reader));
        close_listeners_of_others(plan);
        keep_only_own_descriptors(plan, handoff, printed ? printed->fd() : -1);
        if (plan.rehearsal) handoff.shared = shared_with_nobody(plan);
        log_only_into(handoff.log_pipe);
        keep_counts_from_children(plan);
        leave_terminal();
        take_worker_signals();
        set_log_worker(handoff.number);
        report_crashes(handoff.number);
        note_errors_in(handoff.record.last_error);
        count_dropped_lines_in(handoff.record.dropped_log_lines);
        keep_untold_lines_in(handoff.record.untold_log_lines);
        name_process(fmt::format("-w{}", handoff.number),
                     fmt::format("worker {} ({})", handoff.number, servers_of(plan)));
        handoff.wide_pipes = wide_pipes_for(plan);
        take_place(plan.settings, {plan.identity, plan.change}, *plan.sandbox);
        if (handoff.signing) plan.signer->connect(std::move(handoff.signing));
        control.emplace(std::move(handoff.channel));
        Lifeline lifeline{{.record = handoff.record,
                           .stop_timeout = plan.settings.stop_timeout,
                           .channel = control->orders_fd(),
                           .printed = printed ? &*printed : nullptr}};
        control->attach(lifeline);
        if (runs_handlers_itself(plan)) {
            lifeline.start();
            give_children_ordinary_signals();
        }
        const int code = serve_model(plan, handoff, *control, [reports] { send_report(reports, Report::Kind::Ready); });
        flush_standard_output();
        return code;
    } catch (const std::exception& error) {
        send_report(reports, Report::Kind::Failed, with_remedy(error));
        return static_cast<int>(is_shortage(error) ? ExitCode::System : ExitCode::Internal);
    } catch (...) {
        send_report(reports, Report::Kind::Failed, not_an_exception(plan));
        return static_cast<int>(ExitCode::Internal);
    }
}

int run_standalone(const WorkerPlan& plan, WorkerHandoff handoff, std::function<void()> ready, OperatorHooks hooks) {
    ::signal(SIGPIPE, SIG_IGN);
    line_buffer_standard_output();
    // Whose orphans come here nobody can tell from a handler's own children, so none is reaped: init does it.
    if (!runs_programs_only(plan)) ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    report_crashes(0);
    handoff.wide_pipes = wide_pipes_for(plan);
    take_place(plan.settings, {plan.identity}, *plan.sandbox);
    if (handoff.signing) plan.signer->connect(std::move(handoff.signing));
    handoff.shared = shared_with_nobody(plan);
    WorkerControl control{std::move(hooks)};
    Lifeline lifeline{{.record = handoff.record,
                       .ends = Lifeline::Ends::Alone,
                       .stop_timeout = plan.settings.stop_timeout,
                       .takes_stop_signals = true}};
    control.attach(lifeline);
    if (runs_handlers_itself(plan)) {
        lifeline.start();
        give_children_ordinary_signals();
    }
    bool is_ready = false;
    // A handler that cannot start is no bug of ours, as little as it is in a worker.
    const auto give_up_unless_ready = [&](const std::string& cause) {
        if (!is_ready) throw OperatorError{ExitCode::Unavailable, "cannot start: " + cause};
    };
    try {
        return serve_model(plan, handoff, control, [&] {
            is_ready = true;
            ready();
        });
    } catch (const OperatorError&) { throw; } catch (const std::exception& error) {
        give_up_unless_ready(with_remedy(error));
        throw;
    } catch (...) {
        give_up_unless_ready(not_an_exception(plan));
        throw;
    }
}

}  // namespace preforkd
