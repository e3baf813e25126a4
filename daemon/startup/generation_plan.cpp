#include "daemon/startup/generation_plan.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "common/base/operator_error.hpp"
#include "common/base/quoted.hpp"
#include "common/channel/source_table.hpp"
#include "common/config/access_reading.hpp"
#include "common/config/forward_check.hpp"
#include "common/config/listen_settings.hpp"
#include "common/config/observe_endpoint.hpp"
#include "common/config/own_options.hpp"
#include "common/config/settings_check.hpp"
#include "common/net/listener_queues.hpp"
#include "common/process/cpu_count.hpp"
#include "common/process/kernel_needs.hpp"
#include "common/systemd/socket_takeover.hpp"
#include "common/tls/tls_reading.hpp"
#include "daemon/observe/observer.hpp"
#include "daemon/startup/compatibility.hpp"
#include "daemon/startup/program_checks.hpp"
#include "daemon/startup/services.hpp"
#include "daemon/worker/process/place_trial.hpp"
#include "daemon/worker/process/worker_sandbox.hpp"
#include "daemon/worker/program/copy_passing.hpp"
#include "daemon/worker/program/program_launch.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

std::vector<std::string> names_of(const Handlers& handlers) {
    std::vector<std::string> names;
    for (const HandlerEntry& entry : handlers.entries()) names.push_back(entry.name);
    return names;
}

/// Whether somebody may have left the `./` away.
bool is_file_here(const std::string& name) {
    std::error_code unknown;
    return !name.empty() && std::filesystem::is_regular_file(name, unknown);
}

/// --model, or what the first endpoint's handler likes best.
Model model_of(const Settings& settings, const Handlers& handlers) {
    if (settings.model) return *settings.model;
    if (starts_programs(settings)) return Model::Fork;
    return handlers.find(handler_of(settings.listen.front(), settings))->model;
}

/// In which model a handler of `listen` is run: beside a program it gets a process for each client, too.
Model model_beside(const Settings& settings, const Handlers& handlers) {
    return starts_programs(settings) ? Model::Fork : model_of(settings, handlers);
}

[[noreturn]] void refuse(const GenerationPlan& plan, const ListenSettings& listen, const Endpoint& endpoint,
                         const std::string& why) {
    throw OperatorError{ExitCode::Configuration,
                        name_at(asked_by(plan, listen), "listen") + ' ' + to_string(endpoint) + ": " + why};
}

/// What systemd passes is not known yet, and may replace the default: of that only the handler's model is checked.
void check_before_binding(const GenerationPlan& plan) {
    const Settings& settings = *plan.settings;
    for (const ListenSettings& listen : settings.listen) {
        if (!settings.listen_is_default && listen.endpoint.transport != Transport::Passed)
            check_cell(plan, listen, listen.endpoint);
        else if (const HandlerEntry* entry = plan.handlers.find(handler_of(listen, settings));
                 entry != nullptr && !is_program_at(listen, settings))
            if (const auto refusal = why_not_in(*entry, model_beside(settings_for(plan, listen), plan.handlers)))
                refuse(plan, listen, listen.endpoint, *refusal);
    }
    if (!settings.chdir.empty() && !std::filesystem::is_directory(settings.chdir))
        throw OperatorError{ExitCode::Configuration,
                            "--chdir " + settings.chdir + ": no such directory; create it, or name another"};
    check_allowed_paths(settings);
    if (settings.workers.automatic || settings.workers.max != 0) check_kernel();
}

/// The kind that takes most.
ServedBy served_by(const GenerationPlan& plan) {
    if (starts_programs(*plan.settings))
        return std::ranges::any_of(*plan.listeners,
                                   [&](const Listener& listener) {
                                       return listener.service == plan.service && listener.tls != nullptr;
                                   })
                   ? ServedBy::ProgramBehindTls
                   : ServedBy::Program;
    const bool coroutine = std::ranges::any_of(*plan.listeners, [&](const Listener& listener) {
        if (listener.service != plan.service) return false;
        const HandlerEntry& entry = *plan.handlers.find(handler_of(listener.settings, *plan.settings));
        return entry.make_stream || entry.make_async_datagram;
    });
    if (some_handler(&HandlerEntry::forwards, plan.worker())) return ServedBy::Forward;
    return coroutine ? ServedBy::Coroutine : ServedBy::BlockingHandler;
}

/// The capacity that the descriptor limit allows, said once if it is less than asked for.
Capacity decide_capacity(const GenerationPlan& plan) {
    const Settings& settings = *plan.settings;
    if (runs_copies(settings)) return {.connections = 1, .parked = 1};  // accepted behind our back
    const std::size_t wanted = wanted_connections(settings.connections, plan.model);
    const Capacity capacity = fit_capacity(wanted, plan.descriptors.usable, plan.listeners->size(),
                                           descriptors_each(plan.model, served_by(plan)));
    if (capacity.connections < wanted)
        log(LogLevel::Warning,
            "--connections {wanted} is more than {open_files} open files allow: {connections} for each worker; raise "
            "RLIMIT_NOFILE",
            {{"connections", std::uint64_t{capacity.connections}},
             {"wanted", std::uint64_t{wanted}},
             {"open_files", std::uint64_t{plan.descriptors.usable}}});
    return capacity;
}

PoolSettings pool_of(const GenerationPlan& plan) {
    const Settings& settings = *plan.settings;
    const WorkerCount& asked = settings.workers;
    const SpareCount spare = settings.spare.value_or(SpareCount{.min = 1, .max = asked.min});
    std::optional<SizeLimits> range;
    if (is_range(asked))
        range = {.fewest = asked.min, .most = asked.max, .least_spare = spare.min, .most_spare = spare.max};
    PoolSettings pool{.workers = std::max(pool_size_of(settings), 1),
                      .range = range,
                      .connections = plan.capacity.connections,
                      .connections_asked = wanted_connections(settings.connections, plan.model),
                      .model = plan.model,
                      .runs_copies = runs_copies(settings),
                      .runs_programs = starts_programs(settings),
                      .shared = shared_use_of(plan),
                      .boot_timeout = settings.boot_timeout,
                      .stop_timeout = settings.stop_timeout,
                      .worker_timeout = settings.worker_timeout,
                      .reload_timeout = settings.reload_timeout};
    add_services(pool, plan);
    return pool;
}

void check_passing(const GenerationPlan& plan) {
    const Settings& settings = *plan.settings;
    if (!runs_copies(settings)) return;
    const std::vector<CopySocket> sockets = copy_sockets_of(plan.worker(), 0);
    if (const auto misfit = why_not_passed(settings.pass, settings.program, sockets))
        throw OperatorError{ExitCode::Configuration, "-- " + printable(settings.program.front()) + ": " + *misfit};
    const int behind =
        settings.pass == PassStyle::Fd0 ? first_copy_socket : first_copy_socket + static_cast<int>(sockets.size());
    if (settings.ready.kind == ReadyCheck::Kind::Fd && settings.ready.fd < behind)
        throw OperatorError{ExitCode::Configuration,
                            fmt::format("--ready fd:{}: that descriptor is a socket of --pass; "
                                        "the first that is free is {}",
                                        settings.ready.fd, behind)};
}

/// All queues of an address count a source together.
void share_with_first_queue(Listener& listener, std::vector<Listener>& listeners) {
    const auto first = std::ranges::find_if(
        listeners, [&](const Listener& each) { return each.local == listener.local && each.queue == 0; });
    listener.sources = first->sources;
    listener.refused = first->refused;
}

/// One context for all addresses of an endpoint.
void give_tls(Listener& listener, const GenerationPlan& plan, WhenUnreadable when_unreadable) {
    const std::vector<Listener>& all = *plan.listeners;
    const auto other =
        std::ranges::find_if(all, [&](const Listener& each) { return each.tls && each.settings == listener.settings; });
    if (other != all.end()) {
        listener.tls = other->tls;
        return;
    }
    try {
        listener.tls = read_tls(listener.settings, plan.ticket_keys, plan.signer, asked_by(plan, listener.settings));
    } catch (const OperatorError& error) {
        if (when_unreadable == WhenUnreadable::Refuse) throw;
        log(LogLevel::Error, "{cause}; admitting nobody there until a reload succeeds", {{"cause", error.what()}});
        listener.access = std::make_shared<const AccessTable>(AccessTable::closed());
        return;
    }
    if (const std::string warning = expiry_warning(listener.settings, *listener.tls, std::chrono::system_clock::now());
        !warning.empty())
        log(LogLevel::Warning, warning);
}

}  // namespace

WorkerPlan GenerationPlan::worker(std::size_t index) const {
    if (!services.empty()) return services.at(index)->worker();
    return {.settings = *settings,
            .handlers = handlers,
            .listeners = *listeners,
            .service = service,
            .workers = std::max(pool_size_of(*settings), 1),
            .identity = identity,
            .change = changes_workers ? change_for(settings->listen.front().run_as, process_changes) : nullptr,
            .sandbox = sandbox,
            .signer = signer,
            .model = model,
            .connections = capacity.connections,
            .parked = capacity.parked,
            .objects = objects,
            .program_files = program_files,
            .process_changes = process_changes,
            .original_descriptor_limit = descriptors.original};
}

void check_cell(const GenerationPlan& plan, const ListenSettings& listen, const Endpoint& endpoint) {
    const Settings& settings = settings_for(plan, listen);
    if (passes_socket(listen, settings)) return;  // whatever it is: that is the program's business
    const std::vector<std::string>& program = program_at(listen, settings);
    const auto refusal = !program.empty() ? why_not_program(program.front(), endpoint.transport, settings.model)
                                          : why_not(*plan.handlers.find(handler_of(listen, settings)),
                                                    endpoint.transport, model_beside(settings, plan.handlers));
    if (refusal) refuse(plan, listen, endpoint, *refusal);
}

Origin asked_by(const GenerationPlan& plan, const ListenSettings& listen) {
    const std::vector<ListenSettings>& all = plan.settings->listen;
    const auto asked = std::ranges::find_if(all, [&](const ListenSettings& each) { return serves(listen, each); });
    const auto number = static_cast<std::size_t>(asked - all.begin());
    return number < plan.asked_by.size() ? plan.asked_by[number] : Origin{};
}

Program program_of(const StartUp& start_up) {
    Program program;
    const std::string name = std::filesystem::path{start_up.launch.arguments.at(0)}.filename();
    if (!name.empty()) program.name = printable(name);
    if (!start_up.about.program.empty()) program.name = printable(start_up.about.program);
    program.version = printable(start_up.about.version);
    program.options = OptionTable{own_options_of(start_up.handlers)};
    program.greets = start_up.handlers.find(program.handler) != nullptr;
    if (!program.greets && !start_up.handlers.entries().empty())
        program.handler = start_up.handlers.entries().front().name;
    return program;
}

Invocation read_daemon_options(const StartUp& start_up, const std::optional<std::string>& config_text) {
    const std::vector<std::string>& words = start_up.launch.arguments;
    return read_options({words.begin() + 1, words.end()}, start_up.launch.environment, program_of(start_up),
                        config_text);
}

std::shared_ptr<GenerationPlan> plan_generation(const Invocation& invocation, const StartUp& start_up, OwnOptions own) {
    std::vector<HandlerTrial> trials = begin_trials(start_up.handlers, invocation.settings, invocation.origins, own);
    for (HandlerTrial& trial : trials) (void)trial.call().wait();
    return plan_generation(invocation, start_up, trials);
}

std::shared_ptr<GenerationPlan> plan_generation(const Invocation& invocation, const StartUp& start_up,
                                                const std::vector<HandlerTrial>& trials) {
    auto plan = std::make_shared<GenerationPlan>(
        GenerationPlan{.settings = std::make_shared<const Settings>(invocation.settings),
                       .handlers = start_up.handlers,
                       .descriptors = start_up.descriptors,
                       .ticket_keys = start_up.launch.ticket_keys,
                       .signer = std::make_shared<Signer>(),
                       .config_text = invocation.config_text});
    if (const auto origins = invocation.origins.find("listen"); origins != invocation.origins.end())
        plan->asked_by = origins->second;
    for (const HandlerTrial& trial : trials) {
        if (!trial.shared()) {
            trial.check();
            continue;
        }
        plan->handlers.add(trial.entry());
        plan->objects.push_back(trial.shared());
        if (std::string notice = trial.notice(); !notice.empty()) plan->notices.push_back(std::move(notice));
    }
    check_settings(*plan->settings, names_of(plan->handlers), invocation.origins, is_file_here);
    check_forwarding(*plan->settings, invocation.origins, [&plan](const std::string& name) {
        const HandlerEntry* const entry = plan->handlers.find(name);
        return entry != nullptr && entry->forwards;
    });
    plan->program_files = find_programs(*plan->settings, invocation.origins);
    plan->process_changes = look_up_changes(*plan->settings, invocation.origins);
    plan->identity = look_up_identity(plan->settings->user, plan->settings->group);
    split_into_services(*plan);
    check_before_binding(*plan);
    try_directory(*plan->settings, plan->identity);
    const auto give_sandbox = [](GenerationPlan& each) {
        each.sandbox = make_sandbox(
            *each.settings, {.model = model_of(*each.settings, each.handlers), .program_files = each.program_files});
    };
    give_sandbox(*plan);
    for (const std::shared_ptr<GenerationPlan>& service : plan->services) give_sandbox(*service);
    plan->observe = make_observer(*plan->settings);
    try_programs(*plan, invocation.origins);
    return plan;
}

void take_listeners(GenerationPlan& plan, std::vector<Listener> listeners, WhenUnreadable when_unreadable) {
    plan.listeners = std::make_shared<std::vector<Listener>>();
    for (Listener& listener : listeners)
        (listener.settings.serves == Serves::Clients ? plan.listeners : plan.observed)->push_back(std::move(listener));
    for (Listener& listener : *plan.listeners) listener.passed_on = passes_socket(listener.settings, *plan.settings);
    number_queues(*plan.listeners);
    for (Listener& listener : *plan.listeners) {
        listener.service = index_of_service(plan, listener.settings);
        listener.tls = nullptr;  // a kept one's is the last generation's
        const HandlerEntry* const entry = plan.handlers.find(handler_of(listener.settings, *plan.settings));
        const bool answers_anything =
            entry != nullptr && entry->answers_any_datagram && !is_program_at(listener.settings, *plan.settings);
        listener.replies_per_source = replies_per_source(listener.settings, answers_anything);
        listener.queue == 0 ? make_sources(listener) : share_with_first_queue(listener, *plan.listeners);
    }
    for (Listener& listener : *plan.listeners) {
        const Origin origin = asked_by(plan, listener.settings);
        listener.access = when_unreadable == WhenUnreadable::Refuse ? read_access(listener.settings, origin)
                                                                    : read_access_or_close(listener.settings, origin);
        if (listener.settings.tls) give_tls(listener, plan, when_unreadable);
    }
    for (const Listener& listener : *plan.listeners) {
        check_cell(plan, listener.settings, listener.local);
        if (listener.inherited && listener.settings.queues)
            refuse(plan, listener.settings, listener.local,
                   "queues= is for sockets of our own, and systemd has made this one; leave it away, or disable its "
                   ".socket unit");
        if (const auto misfit = why_not_for(listener.settings, listener.local.transport))
            throw OperatorError{ExitCode::Configuration, name_at(asked_by(plan, listener.settings), "listen") + ' ' +
                                                             to_string(listener.settings.endpoint) + ": " + *misfit};
    }
    if (plan.services.empty()) check_passing(plan);
    for (const std::shared_ptr<GenerationPlan>& service : plan.services) {
        service->listeners = plan.listeners;
        check_passing(*service);
    }
    plan.model = model_of(plan.services.empty() ? *plan.settings : *plan.services.front()->settings, plan.handlers);
    if (plan.services.empty()) plan.capacity = decide_capacity(plan);
    for (const std::shared_ptr<GenerationPlan>& service : plan.services) {
        service->descriptors = plan.descriptors;
        service->model = model_of(*service->settings, service->handlers);
        service->capacity = decide_capacity(*service);
        const auto first = std::ranges::find(*plan.listeners, service->service, &Listener::service);
        if (!service->name.empty() && first != plan.listeners->end()) service->name = to_string(*first);
    }
}

void say_where_it_listens(const Listener& listener) {
    if (listener.queue != 0) return;  // the first one has said it
    const std::string endpoint = to_string(listener);
    switch (listener.settings.serves) {
        case Serves::Clients:
            return log(LogLevel::Notice,
                       listener.inherited       ? "listening on {endpoint}, passed to us"
                       : listener.outlives_us() ? "listening on {endpoint}, from systemd's store"
                                                : "listening on {endpoint}",
                       {{"endpoint", endpoint},
                        {"passed", listener.inherited       ? "yes"
                                   : listener.outlives_us() ? "stored"
                                                            : "no"}});
        case Serves::Observers:
            log(LogLevel::Notice, "observed over HTTP at {endpoint}", {{"endpoint", endpoint}});
            break;
        case Serves::Agents:
            log(LogLevel::Notice, "answering agent-checks at {endpoint}", {{"endpoint", endpoint}});
            break;
    }
    if (!is_local(listener.settings.endpoint))
        log(LogLevel::Warning,
            "{option} {endpoint}: other machines reach it, and it tells everybody; let a firewall keep out whom it "
            "does not concern",
            {{"endpoint", endpoint}, {"option", option_of(listener.settings.serves)}});
}

Generation to_generation(const std::shared_ptr<GenerationPlan>& plan, std::shared_ptr<KeyProcess> keys) {
    return {.pool = pool_of(*plan),
            .settings = plan->settings,
            .listeners = plan->listeners,
            .observed = plan->observed,
            .config_text = plan->config_text,
            .keys = std::move(keys),
            .body =
                [plan](WorkerHandoff handoff) {
                    const std::size_t service = handoff.service;
                    return run_worker(plan->worker(service), std::move(handoff));
                },
            .observe = plan->observe};
}

}  // namespace preforkd
