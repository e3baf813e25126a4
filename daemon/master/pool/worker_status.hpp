#pragma once
#include "common/control/status_report.hpp"
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// How many workers and connections there may be.
void add_size(const PoolSettings& pool, StatusReport& report);

/// What dead workers have counted, as far as the living's sums go on from it.
void add_dead(const WorkerTotals& dead, StatusReport& report);

/// Adds the workers to `report`, and what they have counted to its sums.
void add_workers(WorkerTable& workers, Clock::time_point now, StatusReport& report);

}  // namespace preforkd
