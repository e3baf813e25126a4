#pragma once
#include "common/control/status_report.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// Adds the workers to `report`, and what they have counted to its sums.
void add_workers(const WorkerTable& workers, Clock::time_point now, StatusReport& report);

}  // namespace preforkd
