#pragma once
#include "common/base/epoll_set.hpp"
#include "daemon/master/pool/count_register.hpp"
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/shared_areas.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// Which one is started.
struct NewWorker {
    int number = 1;           ///< among all that live
    std::size_t service = 0;  ///< of its generation
    int slot = 0;             ///< among the workers of that
};

/// Forks a worker of `generation` with a record and rows of its own, and watches its channel with its pid as the key.
/// `log_pipe`: see WorkerHandoff.
///
/// Throws when the machine is out of processes, descriptors or memory, or `scoreboard` of records; nothing is left
/// then.
[[nodiscard]] WorkerEntry start_worker(const Generation& generation, NewWorker worker, Scoreboard& scoreboard,
                                       CountRegister& counts, SharedAreas& shared, int log_pipe, EpollSet& events,
                                       Clock::time_point now);

}  // namespace preforkd
