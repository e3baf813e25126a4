#include "daemon/startup/services.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "common/base/operator_error.hpp"
#include "common/process/cpu_count.hpp"
#include "common/systemd/socket_takeover.hpp"
#include "daemon/startup/capacity.hpp"

namespace preforkd {
namespace {

/// Those that its workers have.
Settings settings_of_service(const Settings& all, const ListenSettings& listen) {
    Settings own = all;
    own.listen = {listen};
    if (listen.workers) own.workers = {.automatic = false, .min = *listen.workers, .max = *listen.workers};
    if (listen.model) own.model = listen.model;
    if (listen.connections) own.connections = listen.connections;
    if (!listen.handler.empty()) own.program.clear();
    own.run = run_mode_of(listen, all);
    if (own.run == RunMode::Pool) own.program = program_at(listen, all);
    own.pass = listen.copies.pass.value_or(all.pass);
    own.ready = listen.copies.ready.value_or(all.ready);
    own.stop_signal = stop_signal_of(listen, all);
    return own;
}

std::shared_ptr<GenerationPlan> make_service(const GenerationPlan& plan, Settings settings) {
    auto service = std::make_shared<GenerationPlan>(plan);
    service->services.clear();
    service->service = plan.services.size();
    service->settings = std::make_shared<const Settings>(std::move(settings));
    return service;
}

auto service_with(const ListenSettings& listen, const GenerationPlan& plan) {
    return std::ranges::find_if(plan.services, [&](const std::shared_ptr<GenerationPlan>& service) {
        return std::ranges::any_of(service->settings->listen,
                                   [&](const ListenSettings& each) { return serves(listen, each); });
    });
}

ServiceSettings service_of(const GenerationPlan& service) {
    const Settings& settings = *service.settings;
    return {.name = service.name,
            .workers = pool_size_of(settings),
            .connections = service.capacity.connections,
            .connections_asked = wanted_connections(settings.connections, service.model),
            .runs_programs = starts_programs(settings),
            .runs_copies = runs_copies(settings),
            .shared = shared_use_of(service)};
}

}  // namespace

SharedUse shared_use_of(const GenerationPlan& plan) {
    const WorkerPlan worker = plan.worker();
    const auto uid = worker.change != nullptr ? worker.change->uid() : worker.identity.uid;
    return {.memory = some_handler(&HandlerEntry::uses_shared_memory, worker),
            .bus = some_handler(&HandlerEntry::uses_bus, worker),
            .user = uid.value_or(::geteuid())};
}

int pool_size_of(const Settings& settings) {
    return std::clamp(settings.workers.automatic ? usable_cpus() : settings.workers.min, 0, most_workers);
}

std::size_t index_of_service(const GenerationPlan& plan, const ListenSettings& listen) {
    const auto found = service_with(listen, plan);
    return found == plan.services.end() ? 0 : static_cast<std::size_t>(found - plan.services.begin());
}

const Settings& settings_for(const GenerationPlan& plan, const ListenSettings& listen) {
    return plan.services.empty() ? *plan.settings : *plan.services.at(index_of_service(plan, listen))->settings;
}

void split_into_services(GenerationPlan& plan) {
    const Settings& all = *plan.settings;
    if (!has_services(all)) return;
    Settings shared = all;
    std::erase_if(shared.listen, is_service);
    if (!shared.listen.empty()) plan.services.push_back(make_service(plan, std::move(shared)));
    for (const ListenSettings& listen : all.listen) {
        // One that is asked for twice, with port 0, is one service of two listeners.
        if (!is_service(listen) || service_with(listen, plan) != plan.services.end()) continue;
        plan.services.push_back(make_service(plan, settings_of_service(all, listen)));
        GenerationPlan& service = *plan.services.back();
        service.name = to_string(listen.endpoint);
        service.changes_workers = listen.run_as != RunAs{} && !is_program_at(listen, all);
    }
}

void add_services(PoolSettings& pool, const GenerationPlan& plan) {
    if (plan.services.empty()) return;
    pool.workers = 0;
    for (const std::shared_ptr<GenerationPlan>& service : plan.services) {
        pool.services.push_back(service_of(*service));
        pool.workers += pool.services.back().workers;
        pool.connections = std::max(pool.connections, pool.services.back().connections);
    }
    if (pool.workers > most_workers)
        throw OperatorError{ExitCode::Configuration,
                            fmt::format("--workers: {} with those of endpoints (workers=) are more than {}; ask for "
                                        "fewer there (workers=), or here",
                                        pool.workers, most_workers)};
}

}  // namespace preforkd
