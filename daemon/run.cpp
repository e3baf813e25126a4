#include "preforkd/run.hpp"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string>

#include "common/activation.hpp"
#include "common/cpu_count.hpp"
#include "common/descriptors.hpp"
#include "common/operator_error.hpp"
#include "common/options.hpp"
#include "common/ready_fd.hpp"
#include "common/service_notify.hpp"
#include "common/settings_check.hpp"
#include "common/signal_fd.hpp"
#include "daemon/capacity.hpp"
#include "daemon/master/supervisor.hpp"
#include "daemon/model/compatibility.hpp"
#include "daemon/standalone.hpp"
#include "daemon/worker/worker.hpp"

namespace preforkd {

namespace {

std::vector<std::string> environment_lines() {
    std::vector<std::string> lines;
    for (char** line = environ; *line != nullptr; ++line) lines.emplace_back(*line);
    return lines;
}

std::vector<std::string> names_of(const Handlers& handlers) {
    std::vector<std::string> names;
    for (const HandlerEntry& entry : handlers.entries()) names.push_back(entry.name);
    return names;
}

void print_handlers(const Handlers& handlers) {
    for (const HandlerEntry& entry : handlers.entries())
        std::printf("%-10s %-7s %s\n", entry.name.c_str(), std::string{to_string(entry.model)}.c_str(),
                    entry.summary.c_str());
}

std::vector<Listener> open_listeners(const Settings& settings) {
    Assignment assignment = assign_passed_sockets(take_passed_sockets(), settings.listen, settings.listen_is_default);
    std::vector<Listener> bound = bind_listeners(assignment.unbound, settings.backlog);
    std::ranges::move(bound, std::back_inserter(assignment.listeners));
    for (const Listener& listener : assignment.listeners)
        log(LogLevel::Notice, "listening",
            {{"endpoint", to_string(listener.local)}, {"passed", listener.inherited ? "yes" : "no"}});
    return std::move(assignment.listeners);
}

/// The capacity that the descriptor limit allows, said once if it is less than asked for.
Capacity decide_capacity(const Settings& settings, Model model, std::size_t listeners) {
    const DescriptorLimit limit = raise_descriptor_limit();
    const std::size_t wanted = wanted_connections(settings.connections, model);
    const Capacity capacity = fit_capacity(wanted, limit.usable, listeners);
    if (capacity.connections < wanted)
        log(LogLevel::Warning, "--connections is more than the limit on open files allows; raise RLIMIT_NOFILE",
            {{"connections", std::uint64_t{capacity.connections}},
             {"wanted", std::uint64_t{wanted}},
             {"open_files", std::uint64_t{limit.usable}}});
    return capacity;
}

int serve(const Settings& settings, const Handlers& handlers, SignalFd& signals) {
    UniqueFd ready_fd = take_ready_fd(settings.ready_fd);
    const Identity identity = look_up_identity(settings.user, settings.group);
    if (::geteuid() == 0 && settings.user.empty())
        log(LogLevel::Notice, "workers run as root; --user USER makes them somebody else");

    ServiceNotify systemd;
    std::vector<Listener> listeners = open_listeners(settings);
    const Model model = settings.model.value_or(handlers.find(handler_of(listeners.front().settings, settings))->model);
    for (const Listener& listener : listeners) {
        const HandlerEntry& entry = *handlers.find(handler_of(listener.settings, settings));
        if (const auto refusal = why_not(entry, listener.local.transport, model))
            throw OperatorError{ExitCode::Configuration, "--listen " + to_string(listener.local) + ": " + *refusal};
    }
    const Capacity capacity = decide_capacity(settings, model, listeners.size());
    const WorkerPlan plan{.settings = settings,
                          .handlers = handlers,
                          .listeners = listeners,
                          .identity = identity,
                          .model = model,
                          .connections = capacity.connections,
                          .parked = capacity.parked};
    ::signal(SIGPIPE, SIG_IGN);

    if (!settings.workers.automatic && settings.workers.max == 0)
        return serve_alone(plan, {.systemd = systemd, .ready_fd = ready_fd});

    const int workers = settings.workers.automatic ? usable_cpus() : settings.workers.min;
    const PoolSettings pool{.workers = std::clamp(workers, 1, most_workers),
                            .connections = capacity.connections,
                            .boot_timeout = settings.boot_timeout,
                            .stop_timeout = settings.stop_timeout,
                            .worker_timeout = settings.worker_timeout};
    Supervisor supervisor{
        {.settings = settings, .listeners = listeners, .signals = signals, .systemd = systemd, .ready_fd = ready_fd},
        pool,
        [&plan](WorkerSeat seat) { return run_worker(plan, std::move(seat)); }};
    return supervisor.run();
}

/// One line on standard error, or in the log once that is open.
void report_fatal(const char* sentence) noexcept { log(LogLevel::Error, sentence); }

int perform(const Invocation& invocation, const Handlers& handlers, SignalFd& signals) {
    switch (invocation.task) {
        case Task::Help: std::fputs(help_text().c_str(), stdout); return 0;
        case Task::Version: std::puts("preforkd " PREFORKD_VERSION); return 0;
        case Task::ListHandlers: print_handlers(handlers); return 0;
        case Task::PrintConfig: std::fputs(invocation.printed_config.c_str(), stdout); return 0;
        case Task::CheckConfig:
        case Task::Serve: break;
    }
    check_settings(invocation.settings, names_of(handlers), invocation.origins);
    if (invocation.task == Task::CheckConfig) {
        (void)look_up_identity(invocation.settings.user, invocation.settings.group);
        std::puts("configuration is valid");
        return 0;
    }
    open_log(invocation.settings.log);
    for (const std::string& warning : invocation.warnings) log(LogLevel::Warning, warning);
    return serve(invocation.settings, handlers, signals);
}

}  // namespace

int run(int argc, char** argv, const Handlers& handlers) noexcept {
    try {
        open_standard_descriptors();
        // Before anything slow: a signal that arrives during start-up waits here instead of killing us half made.
        SignalFd signals{SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGCHLD};
        ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        return perform(read_options({argv + 1, argv + argc}, environment_lines()), handlers, signals);
    } catch (const OperatorError& error) {
        report_fatal(error.what());
        return static_cast<int>(error.code());
    } catch (const std::system_error& error) {
        report_fatal(error.what());
        return static_cast<int>(ExitCode::System);
    } catch (const std::exception& error) {
        report_fatal(error.what());
        return static_cast<int>(ExitCode::Internal);
    }
}

}  // namespace preforkd
