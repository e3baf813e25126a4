#include "daemon/master/pool/death_register.hpp"

#include <utility>

#include "common/channel/stopping.hpp"

namespace preforkd {

bool DeathRegister::add(Death death, const WorkerRecord& record) {
    const bool killed_by_others = death.by_sigkill() && death.order == DeathOrder::None;
    death.out_of_memory = !death.in_good_order() && oom_.is_to_blame(killed_by_others);
    DeathReport report = report_on(death, record);
    log_death(report);
    log_lost_lines(death, record);
    last_.add(std::move(report));
    cut_[death.generation] += connections_cut(death, record);
    return death.out_of_memory;
}

void DeathRegister::log_cut_connections_of(int generation) {
    log_cut_connections(std::exchange(cut_[generation], 0), generation);
}

void DeathRegister::log_all_cut_connections() {
    std::uint64_t all = 0;
    for (const auto& [generation, connections] : std::exchange(cut_, {})) all += connections;
    log_cut_connections(all);
}

void DeathRegister::describe(Handover& handover) const {
    handover.deaths = to_json(last_);
    for (const auto& [generation, connections] : cut_)
        if (connections != 0) handover.cut.push_back({.generation = generation, .connections = connections});
}

void DeathRegister::adopt(const Handover& handover) {
    if (!handover.deaths.empty()) last_ = parse_deaths(handover.deaths);
    for (const HandedCut& each : handover.cut) cut_[each.generation] = each.connections;
}

}  // namespace preforkd
