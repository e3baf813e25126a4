#include "preforkd/run.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "common/base/operator_error.hpp"
#include "common/base/shortage.hpp"
#include "common/base/sys_error.hpp"
#include "common/channel/stopping.hpp"
#include "common/config/early_errors.hpp"
#include "common/config/options_table.hpp"
#include "common/log/log_output.hpp"
#include "common/log/standard_output.hpp"
#include "common/net/listener_queues.hpp"
#include "common/process/descriptors.hpp"
#include "common/process/isolation.hpp"
#include "common/process/kernel_needs.hpp"
#include "common/process/sandbox.hpp"
#include "common/process/signal_fd.hpp"
#include "common/systemd/activation.hpp"
#include "common/systemd/passed_sockets.hpp"
#include "common/systemd/ready_fd.hpp"
#include "common/systemd/socket_takeover.hpp"
#include "common/systemd/stored_listeners.hpp"
#include "common/systemd/stored_ticket_keys.hpp"
#include "common/systemd/systemd_notify.hpp"
#include "daemon/master/control/control_listener.hpp"
#include "daemon/master/pool/handed_listeners.hpp"
#include "daemon/master/pool/key_process.hpp"
#include "daemon/master/supervisor.hpp"
#include "daemon/master/upgrade/image.hpp"
#include "daemon/master/upgrade/rehearsal_channel.hpp"
#include "daemon/startup/config_check.hpp"
#include "daemon/startup/generation_loading.hpp"
#include "daemon/startup/rehearsal.hpp"
#include "daemon/startup/settings_reading.hpp"
#include "daemon/startup/standalone.hpp"
#include "daemon/worker/program/copy_passing.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

std::vector<std::string> environment_lines() {
    std::vector<std::string> lines;
    for (char** line = environ; *line != nullptr; ++line) lines.emplace_back(*line);
    return lines;
}

/// What a script has asked for and did not get in full must not look like success.
int print(const std::string& text) {
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) throw_errno("write standard output");
    return 0;
}

std::string list_of(const Handlers& handlers) {
    std::string list;
    for (const HandlerEntry& entry : handlers.entries())
        list += fmt::format("{:<10} {:<7} {}\n", entry.name, to_string(entry.model), entry.summary);
    return list;
}

/// What is not for clients is told by its name alone.
std::vector<PassedSocket> take_named(std::vector<PassedSocket>& passed, const std::vector<ListenSettings>& endpoints) {
    std::vector<PassedSocket> taken;
    for (const ListenSettings& each : endpoints)
        if (each.endpoint.transport == Transport::Passed)
            std::erase_if(passed, [&](PassedSocket& socket) {
                if (socket.name != each.endpoint.path) return false;
                taken.push_back(std::move(socket));
                return true;
            });
    return taken;
}

std::vector<Listener> open_listeners(const Settings& settings, std::vector<PassedSocket> passed,
                                     SystemdNotify& systemd) {
    const std::vector<ListenSettings> endpoints = observed_endpoints(settings);
    Assignment observed = assign_passed_sockets(take_named(passed, endpoints), endpoints, false);
    Assignment assignment = assign_passed_sockets(std::move(passed), settings.listen, settings.listen_is_default);
    std::ranges::move(observed.listeners, std::back_inserter(assignment.listeners));
    std::ranges::move(observed.unbound, std::back_inserter(assignment.unbound));
    drop_stored_sockets(systemd, std::move(assignment.unwanted));
    change_sockets(assignment.listeners, settings.backlog);
    std::vector<Listener> bound = bind_listeners(assignment.unbound, settings.backlog);
    std::ranges::move(bound, std::back_inserter(assignment.listeners));
    std::vector<Listener> queues = open_more_queues(assignment.listeners, settings.backlog, Listens::AtOnce);
    std::ranges::move(queues, std::back_inserter(assignment.listeners));
    return std::move(assignment.listeners);
}

const char* runtime_directory() { return std::getenv("RUNTIME_DIRECTORY"); }

void open_control(Supervisor& supervisor, const Settings& settings) {
    if (auto control = listen_for_control(
            settings, {.runtime_directory = runtime_directory(), .xdg_runtime_dir = std::getenv("XDG_RUNTIME_DIR")}))
        return supervisor.open_control(std::move(*control));
    if (auto place = wanted_control(settings.control, runtime_directory())) supervisor.want_control(std::move(*place));
}

/// After everything that could still be refused: an error at start-up is then the only line.
void say_what_is_served(const GenerationPlan& plan) {
    const Settings& settings = *plan.settings;
    // Who starts programs as others has to stay root.
    const bool changes_users =
        std::ranges::any_of(settings.listen, [](const ListenSettings& each) { return !each.run_as.user.empty(); });
    if (::geteuid() == 0 && settings.user.empty() && !changes_users)
        log(LogLevel::Notice, "workers run as root; --user USER changes that");
    if (const auto& cause = plan.sandbox->missing())
        log(LogLevel::Notice, "--sandbox auto: workers have no filter of system calls: {cause}", {{"cause", *cause}});
    warn_without_proc();
    for (const Listener& listener : *plan.listeners) say_where_it_listens(listener);
    for (const Listener& listener : *plan.observed) say_where_it_listens(listener);
}

int serve_on(const std::shared_ptr<GenerationPlan>& plan, std::vector<Listener> listeners, const MasterParts& parts,
             const StartUp& start_up) {
    const Settings& settings = *plan->settings;
    take_listeners(*plan, std::move(listeners));
    make_blocking(*plan->listeners, settings);
    std::shared_ptr<KeyProcess> keys = start_key_process(plan);
    say_what_is_served(*plan);
    store_listeners(parts.systemd, *plan->listeners);
    if (!settings.workers.automatic && settings.workers.max == 0) {
        StoredTicketKeys{parts.systemd}.maintain(nullptr, {});  // nobody would renew them
        return serve_alone(plan->worker(), {.systemd = parts.systemd, .ready_fd = parts.ready_fd}, std::move(keys));
    }
    Supervisor supervisor{parts, to_generation(plan, std::move(keys)), load_generation(start_up)};
    open_control(supervisor, settings);
    return supervisor.run();
}

int serve(const std::shared_ptr<GenerationPlan>& plan, StartUp& start_up, SignalFd& signals) {
    UniqueFd ready_fd = take_ready_fd(plan->settings->ready_fd);
    SystemdNotify systemd;
    start_up.descriptors = plan->descriptors = raise_descriptor_limit();
    start_up.launch.descriptor_limit = start_up.descriptors.original;
    try {
        std::vector<PassedSocket> passed = take_passed_sockets();
        if (auto kept = take_ticket_keys(passed)) plan->ticket_keys = start_up.launch.ticket_keys = std::move(kept);
        return serve_on(plan, open_listeners(*plan->settings, std::move(passed), systemd),
                        {.signals = signals, .systemd = systemd, .ready_fd = ready_fd, .launch = start_up.launch},
                        start_up);
    } catch (...) {
        if (plan->listeners) close_for_good(*plan->listeners);  // no socket file of a daemon that never was
        close_for_good(*plan->observed);
        throw;
    }
}

/// What the master goes on with, whatever the settings say by now: a reload compares with it.
std::shared_ptr<const Settings> settings_in_force(const Settings& read, const Handover& handover) {
    Settings settings = read;
    // What an older image has left says only where the socket is.
    settings.control =
        handover.control.setting.value_or(handover.control.fd < 0 ? read.control : handover.control.local);
    settings.name = handover.control.name.value_or(read.name);
    settings.run = handover.runs_copies ? RunMode::Pool : RunMode::Client;
    if (!handover.workers_setting.empty()) find_option("workers")->read(settings, handover.workers_setting);
    return std::make_shared<const Settings>(std::move(settings));
}

/// Copies of a program are nothing that another version of ours would run differently, so an upgrade leaves them alone,
/// unless the file says something else by now, or others are served beside them, by workers that are exchanged.
bool keeps_copies(const Planned& planned, const Handover& handover) {
    return handover.runs_copies && runs_copies(*planned.plan->settings) && planned.plan->services.empty() &&
           planned.invocation.config_text == handover.config_text;
}

/// In the place of another image.  Of an upgrade, `handover` keeps its descriptors until this one supervises: what
/// fails before can still be undone with them.  After a failed one there is nobody to give them back to, and there may
/// be no space for a second set.
int carry_on(Planned planned, Handover& handover, const StartUp& start_up, SignalFd& signals) {
    const std::shared_ptr<GenerationPlan> plan = planned.plan;
    UniqueFd no_ready_fd;  // it has been told
    SystemdNotify systemd;
    const bool resumes = handover.purpose == Handover::Purpose::Resume;
    const Handover own = resumes ? handover : duplicate(handover);
    std::vector<Listener> listeners = from_handed(own.listeners);
    number_queues(listeners);
    const std::shared_ptr<const Settings> in_force = settings_in_force(*plan->settings, own);
    Generation current;
    std::optional<Planned> first_load;
    if (resumes || keeps_copies(planned, own)) {
        plan->settings = in_force;
        take_listeners(*plan, std::move(listeners), WhenUnreadable::AdmitNobody);
        current = to_generation(plan, key_process_of(plan));  // begun by the pool, which has to go on
        if (current.pool.services.empty())
            current.pool.workers = own.workers;  // of services nobody orders another size
    } else {
        std::vector<Listener> observed = take_observed(listeners);
        current = {.pool = {.workers = own.workers,
                            .connections = own.connections,
                            .runs_copies = own.runs_copies,
                            .boot_timeout = in_force->boot_timeout,
                            .stop_timeout = own.stop_timeout,
                            .worker_timeout = own.worker_timeout},
                   .settings = in_force,
                   .listeners = std::make_shared<std::vector<Listener>>(std::move(listeners)),
                   .observed = std::make_shared<std::vector<Listener>>(std::move(observed)),
                   .config_text = own.config_text,
                   .observe = plan->observe};
        first_load = std::move(planned);
    }
    current.number = own.generation;
    if (own.workers_ordered != 0) current.pool.ordered = own.workers_ordered;
    Supervisor supervisor{{.signals = signals, .systemd = systemd, .ready_fd = no_ready_fd, .launch = start_up.launch},
                          std::move(current),
                          load_generation(start_up, std::move(first_load)),
                          own};
    if (!resumes) close_descriptors(handover);
    // Where another daemon had it, and has it perhaps still.
    if (auto place = wanted_control(in_force->control, runtime_directory())) supervisor.want_control(std::move(*place));
    return supervisor.run();
}

/// One line in the log; before that is open, on standard error as the log would have it.
void report_fatal(const char* sentence, LogFormat early) noexcept {
    for (const LogFormat format : {early, LogFormat::Auto, LogFormat::Text}) {
        if (log_is_open()) break;
        try {
            open_log({.format = format});
        } catch (const std::exception&) { continue; }  // no journal, no descriptor: then simpler
    }
    log(LogLevel::Error, sentence);
}

/// A log file at RLIMIT_FSIZE loses lines, not the service; memory that cannot be sized has a sentence.
void ignore_file_size_signal() { ::signal(SIGXFSZ, SIG_IGN); }

void ignore_signals_of_writes() {
    ::signal(SIGPIPE, SIG_IGN);
    ignore_file_size_signal();
}

/// Waits as long as it takes, and for a signal to stop.
Invocation read_settings(const StartUp& start_up, SignalFd& signals) {
    std::optional<ChildCall> reading = begin_reading_settings(start_up, 0ms);
    if (!reading) return read_daemon_options(start_up);
    std::vector<int> later;
    while (!reading->wait(signals.get()))
        while (const auto signo = signals.next()) {
            if (*signo == SIGTERM || *signo == SIGQUIT || *signo == SIGINT) {
                reading->give_up();
                // As if nothing had been begun: there is nothing yet to be stopped in good order.
                die_of(*signo == SIGQUIT ? SIGTERM : *signo);  // no core of it
                ::_exit(0);
            }
            later.push_back(*signo);
        }
    for (const int signo : later) ::raise(signo);
    return read_daemon_options(start_up, reading->result());
}

/// In the place of another image: that one cannot wait.
Invocation read_settings_in_time(const StartUp& start_up) {
    std::optional<ChildCall> reading = begin_reading_settings(start_up, Settings{}.boot_timeout);
    if (!reading) return read_daemon_options(start_up);
    (void)reading->wait();
    return read_daemon_options(start_up, reading->result());
}

int perform(StartUp& start_up, SignalFd& signals) {
    switch (read_daemon_options(start_up, "").task) {
        case Task::Help: return print(help_text(program_of(start_up)));
        case Task::Version: return print(version_text(program_of(start_up)));
        case Task::ListHandlers: return print(list_of(start_up.handlers));
        case Task::PrintConfig:
        case Task::CheckConfig:
        case Task::Serve: break;
    }
    ignore_file_size_signal();
    const Invocation invocation = read_settings(start_up, signals);
    if (invocation.task == Task::PrintConfig) return print(invocation.printed_config);
    if (invocation.task == Task::Serve) start_up.early_errors = invocation.settings.log.format;
    const std::shared_ptr<GenerationPlan> plan = plan_generation(invocation, start_up);
    if (invocation.task == Task::CheckConfig) {
        check_start(*plan, invocation);
        return print("configuration is valid\n");
    }
    open_log(plan->settings->log);
    for (const std::string& notice : invocation.notices) log(LogLevel::Notice, notice);
    for (const std::string& notice : plan->notices) log(LogLevel::Notice, notice);
    for (const std::string& warning : invocation.warnings) log(LogLevel::Warning, warning);
    ignore_signals_of_writes();
    return serve(plan, start_up, signals);
}

/// `report`: where a rehearsal tells its verdict.
int perform_upgrade(Handover& handover, int report, StartUp& start_up, SignalFd& signals) {
    start_up.launch.executable = handover.executable;
    start_up.launch.descriptor_limit = handover.descriptor_limit;
    start_up.launch.ticket_keys = ticket_keys_of(handover);
    start_up.descriptors = raise_descriptor_limit();
    start_up.descriptors.original = handover.descriptor_limit;
    ignore_signals_of_writes();
    if (handover.purpose == Handover::Purpose::Rehearsal) {
        rehearse(start_up, handover);
        give_verdict(report, verdict_passed);
        return 0;
    }
    const bool resumes = handover.purpose == Handover::Purpose::Resume;
    if (resumes) ::prctl(PR_SET_NAME, program_invocation_short_name);  // a file executed by descriptor has no name
    Invocation invocation =
        resumes ? read_daemon_options(start_up, handover.config_text) : read_settings_in_time(start_up);
    std::shared_ptr<GenerationPlan> plan =
        plan_generation(invocation, start_up, resumes ? OwnOptions::Believe : OwnOptions::Try);
    open_log(plan->settings->log);
    return carry_on({.invocation = std::move(invocation), .plan = std::move(plan)}, handover, start_up, signals);
}

/// What failed in this image is for the one before to say, if it can be had again.
void give_back(Handover& handover, const char* cause) {
    if (handover.purpose != Handover::Purpose::Upgrade || handover.old_image < 0) return;
    handover.purpose = Handover::Purpose::Resume;
    handover.reason = cause;
    (void)become(handover.old_image, launch_of(handover), handover);
}

}  // namespace

int run(int argc, char** argv, const Handlers& handlers, const About& about) noexcept {
    std::optional<Handover> handover;
    StartUp start_up;
    int report = -1;  // a rehearsal's, whose errors are for the running image to tell
    const auto fail = [&](const char* sentence, ExitCode code) {
        if (handover) give_back(*handover, sentence);
        if (report >= 0)
            give_verdict(report, sentence);
        else
            report_fatal(sentence, start_up.early_errors);
        return static_cast<int>(code);
    };
    try {
        open_standard_descriptors();
        allow_tracing(false);
        flush_standard_output();    // what was printed before is not each worker's to print again
        note_passed_descriptors();  // before anything is opened
        // What started us may have ignored it: then the kernel would reap our children, and tell us nothing.
        ::signal(SIGCHLD, SIG_DFL);
        // Before anything slow: a signal that arrives during start-up waits here instead of killing us half made.
        SignalFd signals{SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGCHLD};
        ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        start_up = {.launch = {.arguments = {argv, argv + argc},
                               .environment = lasting_environment(environment_lines()),
                               .executable = find_executable(argv[0])},
                    .handlers = handlers,
                    .about = about};
        start_up.early_errors =
            format_of_early_errors({argv + std::min(argc, 1), argv + argc}, start_up.launch.environment);
        handover = take_handover(report);
        return handover ? perform_upgrade(*handover, report, start_up, signals) : perform(start_up, signals);
    } catch (const OperatorError& error) {
        return fail(error.what(), error.code());
    } catch (const std::system_error& error) {
        return fail(with_remedy(error).c_str(), ExitCode::System);
    } catch (const std::exception& error) { return fail(error.what(), ExitCode::Internal); } catch (...) {
        return fail("an exception not derived from std::exception", ExitCode::Internal);
    }
}

}  // namespace preforkd
