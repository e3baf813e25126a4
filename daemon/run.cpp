#include "preforkd/run.hpp"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "common/activation.hpp"
#include "common/closing.hpp"
#include "common/descriptors.hpp"
#include "common/kernel_needs.hpp"
#include "common/log_output.hpp"
#include "common/operator_error.hpp"
#include "common/ready_fd.hpp"
#include "common/service_notify.hpp"
#include "common/shortage.hpp"
#include "common/signal_fd.hpp"
#include "common/socket_takeover.hpp"
#include "common/stored_listeners.hpp"
#include "daemon/master/control_listener.hpp"
#include "daemon/master/supervisor.hpp"
#include "daemon/service_plan.hpp"
#include "daemon/standalone.hpp"

namespace preforkd {

namespace {

std::vector<std::string> environment_lines() {
    std::vector<std::string> lines;
    for (char** line = environ; *line != nullptr; ++line) lines.emplace_back(*line);
    return lines;
}

void print_handlers(const Handlers& handlers) {
    for (const HandlerEntry& entry : handlers.entries())
        std::printf("%-10s %-7s %s\n", entry.name.c_str(), std::string{to_string(entry.model)}.c_str(),
                    entry.summary.c_str());
}

std::vector<Listener> open_listeners(const Settings& settings, ServiceNotify& systemd) {
    Assignment assignment = assign_passed_sockets(take_passed_sockets(), settings.listen, settings.listen_is_default);
    drop_stored_sockets(systemd, std::move(assignment.unwanted));
    change_sockets(assignment.listeners, settings.backlog);
    std::vector<Listener> bound = bind_listeners(assignment.unbound, settings.backlog);
    std::ranges::move(bound, std::back_inserter(assignment.listeners));
    return std::move(assignment.listeners);
}

/// After everything that could still be refused: an error at start-up is then the only line.
void say_what_is_served(const Settings& settings, const std::vector<Listener>& listeners) {
    if (::geteuid() == 0 && settings.user.empty())
        log(LogLevel::Notice, "workers run as root; --user USER makes them somebody else");
    warn_without_proc();
    if (settings.workers.min != settings.workers.max)
        log(LogLevel::Notice,
            "this version does not resize the pool by itself; it starts with the smaller of --workers");
    for (const Listener& listener : listeners)
        log(LogLevel::Notice, "listening",
            {{"endpoint", to_string(listener.local)},
             {"passed", listener.inherited       ? "yes"
                        : listener.outlives_us() ? "stored"
                                                 : "no"}});
}

int serve_on(const std::shared_ptr<ServicePlan>& plan, std::vector<Listener> listeners, const MasterParts& parts,
             const StartUp& start_up) {
    const Settings& settings = *plan->settings;
    take_listeners(*plan, std::move(listeners));
    say_what_is_served(settings, *plan->listeners);
    store_listeners(parts.systemd, *plan->listeners);
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGXFSZ, SIG_IGN);  // a log file at its limit loses lines, not the service

    if (!settings.workers.automatic && settings.workers.max == 0) {
        if (!settings.control.empty())
            log(LogLevel::Notice, "--control needs a master, which --workers 0 has not: preforkctl cannot ask");
        return serve_alone(plan->worker(), {.systemd = parts.systemd, .ready_fd = parts.ready_fd});
    }

    Supervisor supervisor{parts, to_generation(plan),
                          [&start_up](const Generation& current) { return reload_service(start_up, current); }};
    if (const auto control = control_endpoint(settings, std::getenv("RUNTIME_DIRECTORY")))
        supervisor.open_control(*control);
    return supervisor.run();
}

int serve(const std::shared_ptr<ServicePlan>& plan, StartUp& start_up, SignalFd& signals) {
    UniqueFd ready_fd = take_ready_fd(plan->settings->ready_fd);
    ServiceNotify systemd;
    start_up.descriptors = plan->descriptors = raise_descriptor_limit();
    try {
        return serve_on(plan, open_listeners(*plan->settings, systemd),
                        {.signals = signals, .systemd = systemd, .ready_fd = ready_fd}, start_up);
    } catch (...) {
        if (plan->listeners) close_for_good(*plan->listeners);  // no socket file of a daemon that never was
        throw;
    }
}

/// One line on standard error, or in the log once that is open.
void report_fatal(const char* sentence) noexcept { log(LogLevel::Error, sentence); }

int perform(StartUp& start_up, SignalFd& signals) {
    const std::string usual_handler = default_handler(start_up.handlers);
    const Invocation invocation = read_options(start_up.arguments, start_up.environment, usual_handler);
    switch (invocation.task) {
        case Task::Help: std::fputs(help_text(usual_handler).c_str(), stdout); return 0;
        case Task::Version: std::puts("preforkd " PREFORKD_VERSION); return 0;
        case Task::ListHandlers: print_handlers(start_up.handlers); return 0;
        case Task::PrintConfig: std::fputs(invocation.printed_config.c_str(), stdout); return 0;
        case Task::CheckConfig:
        case Task::Serve: break;
    }
    const std::shared_ptr<ServicePlan> plan = plan_service(invocation, start_up);
    if (invocation.task == Task::CheckConfig) {
        std::puts("configuration is valid");
        return 0;
    }
    open_log(plan->settings->log);
    for (const std::string& warning : invocation.warnings) log(LogLevel::Warning, warning);
    return serve(plan, start_up, signals);
}

}  // namespace

int run(int argc, char** argv, const Handlers& handlers) noexcept {
    try {
        open_standard_descriptors();
        // Before anything slow: a signal that arrives during start-up waits here instead of killing us half made.
        SignalFd signals{SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGCHLD};
        ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        StartUp start_up{
            .arguments = {argv + 1, argv + argc}, .environment = environment_lines(), .handlers = handlers};
        return perform(start_up, signals);
    } catch (const OperatorError& error) {
        report_fatal(error.what());
        return static_cast<int>(error.code());
    } catch (const std::system_error& error) {
        report_fatal(with_remedy(error).c_str());
        return static_cast<int>(ExitCode::System);
    } catch (const std::exception& error) {
        report_fatal(error.what());
        return static_cast<int>(ExitCode::Internal);
    } catch (...) {
        report_fatal("an exception that is no std::exception");
        return static_cast<int>(ExitCode::Internal);
    }
}

}  // namespace preforkd
