#pragma once
// Where master and worker meet: what the master hands to the child it forks.
#include <functional>

#include "common/shared_slots.hpp"
#include "common/standard_output.hpp"
#include "common/unique_fd.hpp"

namespace preforkd {

struct WorkerSeat {
    int number = 0;        ///< from 1; a replacement takes the lowest that is free
    WorkerRecord& record;  ///< the child alone writes it
    UniqueFd channel{};    ///< the worker's end
    OutputPipe output{};   ///< both ends; empty: its standard output stays as it is
};

/// What a forked child runs; its result is the exit code.
using WorkerMain = std::function<int(WorkerSeat)>;

}  // namespace preforkd
