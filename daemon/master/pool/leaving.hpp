#pragma once
// Workers of generations that others have replaced, as long as they have clients.
#include <string>
#include <vector>

#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/leaving_policy.hpp"
#include "daemon/master/pool/worker_orders.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// How `worker` is asked to leave for one of a generation with these settings, once it has served who is queued on
/// `closing`: listeners that only its own generation has, by their index.
[[nodiscard]] Dismissal replaced_by(const PoolSettings& coming, const WorkerEntry& worker, DeathOrder order,
                                    const std::vector<std::uint32_t>& closing, Clock::time_point now);

/// How many workers of a service of `plan` that retire serve on for now, because too many are leaving already: each
/// that is replaced is a process more until its last client has gone, which may take longer than a stop would.  A
/// reload still has slots.
[[nodiscard]] int kept_although_retiring(const Generation& plan, std::size_t service, const WorkerTable& workers);

/// Asks those of a service of `plan` to leave that are more than it wants.  `current`: what holds for who leaves.
void dismiss_surplus(WorkerTable& workers, const Generation& plan, std::size_t service, const PoolSettings& current,
                     Clock::time_point now);

/// Whether a generation may follow on `current`, for the workers that are leaving by now.
[[nodiscard]] Slots slots_beside(const Generation& current, const WorkerTable& workers, Clock::time_point now);

/// Why it may not, with those that have been leaving longest, in one sentence.
[[nodiscard]] std::string why_no_slots(const Generation& current, const WorkerTable& workers, Clock::time_point now);

/// Ends the workers of as many of the oldest generations as it takes, fast.
void end_oldest(const Generation& current, WorkerTable& workers, Clock::time_point now);

}  // namespace preforkd
