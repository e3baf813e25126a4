#include "daemon/service_plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "common/cpu_count.hpp"
#include "common/kernel_needs.hpp"
#include "common/operator_error.hpp"
#include "common/settings_check.hpp"
#include "common/socket_takeover.hpp"
#include "daemon/handlers/handler_trial.hpp"
#include "daemon/master/control_listener.hpp"
#include "daemon/model/compatibility.hpp"
#include "daemon/worker/program_launch.hpp"
#include "daemon/worker/program_trial.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

std::vector<std::string> names_of(const Handlers& handlers) {
    std::vector<std::string> names;
    for (const HandlerEntry& entry : handlers.entries()) names.push_back(entry.name);
    return names;
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

/// What systemd passes is not known yet, and may replace the default.
void check_before_binding(const ServicePlan& plan) {
    const Settings& settings = *plan.settings;
    for (const ListenSettings& listen : settings.listen)
        if (!settings.listen_is_default && listen.endpoint.transport != Transport::Passed)
            check_cell(settings, plan.handlers, listen, listen.endpoint);
    if (!settings.chdir.empty() && !std::filesystem::is_directory(settings.chdir))
        throw OperatorError{ExitCode::Configuration,
                            "--chdir " + settings.chdir + ": there is no such directory; create it, or name another"};
    if (settings.workers.automatic || settings.workers.max != 0) check_kernel();
}

/// The capacity that the descriptor limit allows, said once if it is less than asked for.
Capacity decide_capacity(const ServicePlan& plan) {
    const Settings& settings = *plan.settings;
    const std::size_t wanted = wanted_connections(settings.connections, plan.model);
    const Capacity capacity = fit_capacity(wanted, plan.descriptors.usable, plan.listeners->size(),
                                           descriptors_each(plan.model, !settings.program.empty()));
    if (capacity.connections < wanted)
        log(LogLevel::Warning, "--connections is more than the limit on open files allows; raise RLIMIT_NOFILE",
            {{"connections", std::uint64_t{capacity.connections}},
             {"wanted", std::uint64_t{wanted}},
             {"open_files", std::uint64_t{plan.descriptors.usable}}});
    return capacity;
}

PoolSettings pool_of(const ServicePlan& plan) {
    const Settings& settings = *plan.settings;
    const WorkerCount& asked = settings.workers;
    const int workers = asked.automatic ? usable_cpus() : asked.min;
    const SpareCount spare = settings.spare.value_or(SpareCount{.min = 1, .max = asked.min});
    std::optional<SizeLimits> range;
    if (is_range(asked))
        range = {.fewest = asked.min, .most = asked.max, .least_spare = spare.min, .most_spare = spare.max};
    return {.workers = std::clamp(workers, 1, most_workers),
            .range = range,
            .connections = plan.capacity.connections,
            .boot_timeout = settings.boot_timeout,
            .stop_timeout = settings.stop_timeout,
            .worker_timeout = settings.worker_timeout};
}

/// Gives `next` what a running master cannot change, and names what that leaves undone.  So the next reload names it
/// again, as long as the settings ask for it.
std::vector<std::string> keep_what_takes_a_restart(Settings& next, const Settings& before) {
    std::vector<std::string> kept;
    const char* const runtime_directory = std::getenv("RUNTIME_DIRECTORY");
    if (control_endpoint(next, runtime_directory) != control_endpoint(before, runtime_directory))
        kept.emplace_back("control");
    if (next.ready_fd != before.ready_fd) kept.emplace_back("ready-fd");
    next.control = before.control;
    next.ready_fd = before.ready_fd;
    return kept;
}

std::vector<std::string> say_what_does_not_hold(const std::vector<std::string>& kept, const Takeover& taken) {
    std::vector<std::string> remarks;
    for (const std::string& setting : kept)
        log(LogLevel::Warning, "not changed by a reload; restart for it", {{"setting", setting}});
    if (!kept.empty())
        remarks.push_back(fmt::format("not changed by a reload, restart for it: {}", fmt::join(kept, ", ")));
    for (const std::string& endpoint : taken.out_of_reach) {
        log(LogLevel::Warning, "no client finds this socket: its file is gone; restart the .socket unit it is from",
            {{"endpoint", endpoint}});
        remarks.push_back(
            fmt::format("no client finds {}, whose file is gone: restart the .socket unit it is from", endpoint));
    }
    for (const std::string& endpoint : taken.lost)
        log(LogLevel::Notice, "no client finds this socket: its file is gone or another's; binding it anew",
            {{"endpoint", endpoint}});
    return remarks;
}

}  // namespace

WorkerPlan ServicePlan::worker() const {
    return {.settings = *settings,
            .handlers = handlers,
            .listeners = *listeners,
            .identity = identity,
            .model = model,
            .connections = capacity.connections,
            .parked = capacity.parked,
            .program_file = program_file,
            .original_descriptor_limit = descriptors.original};
}

std::string default_handler(const Handlers& handlers) {
    const std::string usual = Settings{}.handler;
    const bool has_own = handlers.find(usual) == nullptr && !handlers.entries().empty();
    return has_own ? handlers.entries().front().name : usual;
}

Invocation read_service_options(const StartUp& start_up, const std::optional<std::string>& config_text) {
    const std::vector<std::string>& words = start_up.launch.arguments;
    return read_options({words.begin() + 1, words.end()}, start_up.launch.environment,
                        default_handler(start_up.handlers), config_text);
}

std::shared_ptr<ServicePlan> plan_service(const Invocation& invocation, const StartUp& start_up) {
    auto plan =
        std::make_shared<ServicePlan>(ServicePlan{.settings = std::make_shared<const Settings>(invocation.settings),
                                                  .handlers = start_up.handlers,
                                                  .descriptors = start_up.descriptors,
                                                  .config_text = invocation.config_text});
    add_shared_objects(plan->handlers, *plan->settings, invocation.origins);
    check_settings(*plan->settings, names_of(plan->handlers), invocation.origins);
    const std::vector<std::string>& program = plan->settings->program;
    if (!program.empty()) plan->program_file = find_program(program.front());
    check_before_binding(*plan);
    plan->identity = look_up_identity(plan->settings->user, plan->settings->group);
    if (!program.empty()) try_program(plan->program_file, *plan->settings, plan->identity);
    return plan;
}

void take_listeners(ServicePlan& plan, std::vector<Listener> listeners) {
    plan.listeners = std::make_shared<std::vector<Listener>>(std::move(listeners));
    for (const Listener& listener : *plan.listeners)
        check_cell(*plan.settings, plan.handlers, listener.settings, listener.local);
    plan.model = model_of(*plan.settings, plan.handlers);
    plan.capacity = decide_capacity(plan);
}

Generation to_generation(const std::shared_ptr<ServicePlan>& plan) {
    return {.pool = pool_of(*plan),
            .settings = plan->settings,
            .listeners = plan->listeners,
            .config_text = plan->config_text,
            .body = [plan](WorkerSeat seat) { return run_worker(plan->worker(), std::move(seat)); }};
}

Generation reload_service(const StartUp& start_up, const Generation& current) {
    const Invocation invocation = read_service_options(start_up);
    const std::shared_ptr<ServicePlan> plan = plan_service(invocation, start_up);
    Settings in_force = *plan->settings;
    std::vector<std::string> kept = keep_what_takes_a_restart(in_force, *current.settings);
    plan->settings = std::make_shared<const Settings>(std::move(in_force));
    const Settings& settings = *plan->settings;
    if (!settings.workers.automatic && settings.workers.max == 0)
        throw OperatorError{ExitCode::Configuration,
                            "--workers 0 needs a restart: a running master cannot become the one worker"};
    for (const std::string& warning : invocation.warnings) log(LogLevel::Warning, warning);
    Takeover taken = take_over_sockets(*current.listeners, settings);
    std::ranges::move(taken.kept, std::back_inserter(kept));
    std::vector<std::string> remarks = say_what_does_not_hold(kept, taken);
    // Before anything is bound, which would have to be undone: those to be bound have been checked.
    for (const Listener& listener : taken.listeners)
        check_cell(settings, plan->handlers, listener.settings, listener.local);
    std::vector<Listener> bound = bind_listeners(taken.unbound, settings.backlog);
    for (const Listener& listener : bound)
        log(LogLevel::Notice, "listening", {{"endpoint", to_string(listener.local)}, {"passed", "no"}});
    std::ranges::move(bound, std::back_inserter(taken.listeners));
    take_listeners(*plan, std::move(taken.listeners));
    Generation next = to_generation(plan);
    next.remarks = std::move(remarks);
    return next;
}

}  // namespace preforkd
