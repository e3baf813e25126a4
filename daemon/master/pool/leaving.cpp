#include "daemon/master/pool/leaving.hpp"

#include "daemon/master/pool/leaving_policy.hpp"

namespace preforkd {

Dismissal replaced_by(const PoolSettings& coming, const WorkerEntry& worker, DeathOrder order,
                      const std::vector<std::uint32_t>& closing, Clock::time_point now) {
    // One of an image before that knew no such order has --stop-timeout, whatever it is told.
    const auto within =
        worker.hears_finish_time ? reload_time(worker.runs_programs, coming.reload_timeout) : std::nullopt;
    return {.order = order,
            .at = now,
            .patience = gone_by(within.value_or(coming.stop_timeout), now),
            .within = within,
            .closing = closing};
}

std::set<int> replaced_generations(const Generation& current, const WorkerTable& workers) {
    std::set<int> numbers;
    for (const WorkerEntry& worker : workers)
        if (worker.generation < current.number) numbers.insert(worker.generation);
    return numbers;
}

void end_generation(int number, WorkerTable& workers, Clock::time_point now) {
    for (WorkerEntry& worker : workers)
        if (worker.generation == number && worker.state != WorkerEntry::State::Doomed)
            terminate(worker, DeathOrder::Reload, now);
}

}  // namespace preforkd
