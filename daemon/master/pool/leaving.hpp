#pragma once
// Workers of generations that others have replaced, as long as they have clients.
#include <set>
#include <vector>

#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/worker_orders.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// How `worker` is asked to leave for one of a generation with these settings, once it has served who is queued on
/// `closing`: listeners that only its own generation has, by their index.
[[nodiscard]] Dismissal replaced_by(const PoolSettings& coming, const WorkerEntry& worker, DeathOrder order,
                                    const std::vector<std::uint32_t>& closing, Clock::time_point now);

/// The generations before `current` that still have workers, oldest first.
[[nodiscard]] std::set<int> replaced_generations(const Generation& current, const WorkerTable& workers);

/// Ends the workers of that generation fast.
void end_generation(int number, WorkerTable& workers, Clock::time_point now);

}  // namespace preforkd
