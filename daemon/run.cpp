#include "preforkd/run.hpp"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>

#include "common/activation.hpp"
#include "common/closing.hpp"
#include "common/cpu_count.hpp"
#include "common/descriptors.hpp"
#include "common/kernel_needs.hpp"
#include "common/operator_error.hpp"
#include "common/options.hpp"
#include "common/ready_fd.hpp"
#include "common/service_notify.hpp"
#include "common/settings_check.hpp"
#include "common/shortage.hpp"
#include "common/signal_fd.hpp"
#include "daemon/capacity.hpp"
#include "daemon/handlers/handler_trial.hpp"
#include "daemon/master/supervisor.hpp"
#include "daemon/model/compatibility.hpp"
#include "daemon/standalone.hpp"
#include "daemon/worker/program_launch.hpp"
#include "daemon/worker/program_trial.hpp"
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
    return std::move(assignment.listeners);
}

/// --model, or what the first endpoint's handler likes best.
Model model_of(const Settings& settings, const Handlers& handlers) {
    if (settings.model) return *settings.model;
    if (!settings.program.empty()) return Model::Fork;
    return handlers.find(handler_of(settings.listen.front(), settings))->model;
}

/// Every cell of transport, model and handler either serves or is refused here.
void check_cell(const Settings& settings, const Handlers& handlers, const ListenSettings& listen,
                const Endpoint& endpoint) {
    const bool has_program = !settings.program.empty();
    const auto refusal = has_program && listen.handler.empty()
                             ? why_not_program(settings.program.front(), endpoint.transport, settings.model)
                             // Beside a program, a handler gets a process for each client too.
                             : why_not(*handlers.find(handler_of(listen, settings)), endpoint.transport,
                                       has_program ? Model::Fork : model_of(settings, handlers));
    if (refusal) throw OperatorError{ExitCode::Configuration, "--listen " + to_string(endpoint) + ": " + *refusal};
}

/// What can be refused before anything is bound.  What systemd passes is not known yet, and may replace the default.
void check_before_binding(const Settings& settings, const Handlers& handlers, const std::string& program_file) {
    for (const ListenSettings& listen : settings.listen)
        if (!settings.listen_is_default && listen.endpoint.transport != Transport::Passed)
            check_cell(settings, handlers, listen, listen.endpoint);
    if (!settings.chdir.empty() && !std::filesystem::is_directory(settings.chdir))
        throw OperatorError{ExitCode::Configuration,
                            "--chdir " + settings.chdir + ": there is no such directory; create it, or name another"};
    if (settings.workers.automatic || settings.workers.max != 0) check_kernel();
    const Identity identity = look_up_identity(settings.user, settings.group);
    if (!program_file.empty()) try_program(program_file, settings, identity);
}

/// The capacity that the descriptor limit allows, said once if it is less than asked for.
Capacity decide_capacity(const Settings& settings, Model model, std::size_t listeners, const DescriptorLimit& limit) {
    const std::size_t wanted = wanted_connections(settings.connections, model);
    const Capacity capacity =
        fit_capacity(wanted, limit.usable, listeners, descriptors_each(model, !settings.program.empty()));
    if (capacity.connections < wanted)
        log(LogLevel::Warning, "--connections is more than the limit on open files allows; raise RLIMIT_NOFILE",
            {{"connections", std::uint64_t{capacity.connections}},
             {"wanted", std::uint64_t{wanted}},
             {"open_files", std::uint64_t{limit.usable}}});
    return capacity;
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
            {{"endpoint", to_string(listener.local)}, {"passed", listener.inherited ? "yes" : "no"}});
}

struct Start {
    const Settings& settings;
    const Handlers& handlers;
    const std::string& program_file;
    SignalFd& signals;
};

int serve_on(std::vector<Listener>& listeners, const Start& start, UniqueFd ready_fd, const DescriptorLimit& limit,
             ServiceNotify& systemd) {
    const auto& [settings, handlers, program_file, signals] = start;
    const Identity identity = look_up_identity(settings.user, settings.group);
    const Model model = model_of(settings, handlers);
    for (const Listener& listener : listeners) check_cell(settings, handlers, listener.settings, listener.local);
    say_what_is_served(settings, listeners);
    const Capacity capacity = decide_capacity(settings, model, listeners.size(), limit);
    const WorkerPlan plan{.settings = settings,
                          .handlers = handlers,
                          .listeners = listeners,
                          .identity = identity,
                          .model = model,
                          .connections = capacity.connections,
                          .parked = capacity.parked,
                          .program_file = program_file,
                          .original_descriptor_limit = limit.original};
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGXFSZ, SIG_IGN);  // a log file at its limit loses lines, not the service

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

int serve(const Start& start) {
    UniqueFd ready_fd = take_ready_fd(start.settings.ready_fd);
    ServiceNotify systemd;
    const DescriptorLimit limit = raise_descriptor_limit();
    std::vector<Listener> listeners = open_listeners(start.settings);
    try {
        return serve_on(listeners, start, std::move(ready_fd), limit, systemd);
    } catch (...) {
        close_for_good(listeners);  // no socket file of a daemon that never was
        throw;
    }
}

/// One line on standard error, or in the log once that is open.
void report_fatal(const char* sentence) noexcept { log(LogLevel::Error, sentence); }

/// --handler where nobody gives it.
std::string default_handler(const Handlers& handlers) {
    const std::string usual = Settings{}.handler;
    const bool has_own = handlers.find(usual) == nullptr && !handlers.entries().empty();
    return has_own ? handlers.entries().front().name : usual;
}

int perform(const Invocation& invocation, Handlers handlers, SignalFd& signals) {
    switch (invocation.task) {
        case Task::Help: std::fputs(help_text(default_handler(handlers)).c_str(), stdout); return 0;
        case Task::Version: std::puts("preforkd " PREFORKD_VERSION); return 0;
        case Task::ListHandlers: print_handlers(handlers); return 0;
        case Task::PrintConfig: std::fputs(invocation.printed_config.c_str(), stdout); return 0;
        case Task::CheckConfig:
        case Task::Serve: break;
    }
    add_shared_objects(handlers, invocation.settings, invocation.origins);
    check_settings(invocation.settings, names_of(handlers), invocation.origins);
    const std::vector<std::string>& program = invocation.settings.program;
    const std::string program_file = program.empty() ? "" : find_program(program.front());
    check_before_binding(invocation.settings, handlers, program_file);
    if (invocation.task == Task::CheckConfig) {
        std::puts("configuration is valid");
        return 0;
    }
    open_log(invocation.settings.log);
    for (const std::string& warning : invocation.warnings) log(LogLevel::Warning, warning);
    return serve({invocation.settings, handlers, program_file, signals});
}

}  // namespace

int run(int argc, char** argv, const Handlers& handlers) noexcept {
    try {
        open_standard_descriptors();
        // Before anything slow: a signal that arrives during start-up waits here instead of killing us half made.
        SignalFd signals{SIGTERM, SIGQUIT, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGCHLD};
        ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        const std::vector<std::string> arguments{argv + 1, argv + argc};
        return perform(read_options(arguments, environment_lines(), default_handler(handlers)), handlers, signals);
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
