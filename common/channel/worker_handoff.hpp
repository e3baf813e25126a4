#pragma once
// Where master and worker meet: what the master hands to the child it forks.
#include <functional>
#include <span>
#include <vector>

#include "common/channel/channel.hpp"
#include "common/channel/listener_counts.hpp"
#include "common/channel/scoreboard.hpp"
#include "common/channel/shared_ends.hpp"
#include "common/log/standard_output.hpp"
#include "common/process/wide_pipe.hpp"
#include "common/tls/signing.hpp"

namespace preforkd {

struct WorkerHandoff {
    int number = 0;                      ///< from 1; a replacement takes the lowest that is free
    int generation = 1;                  ///< whose worker it is
    std::size_t service = 0;             ///< of that, which of its services it serves
    int slot = 0;                        ///< which of the workers of that it is, from 0; a replacement takes a free one
    WorkerRecord& record;                ///< the child alone writes it
    std::span<ListenerRow> rows{};       ///< likewise: its counts of each listener; empty: it counts for itself alone
    ChannelEnd channel{};                ///< the worker's
    OutputPipe output{};                 ///< both ends; empty: its standard output stays as it is
    int log_pipe = -1;                   ///< where it logs to, borrowed; -1: where its master does
    SigningEnd signing{};                ///< to the key process; empty: it has its keys itself
    SharedEnds shared{};                 ///< empty: its handlers use none of it
    std::vector<WidePipe> wide_pipes{};  ///< that it has made before its sandbox, for --handler forward
};

/// What a forked child runs; its result is the exit code.
using WorkerMain = std::function<int(WorkerHandoff)>;

}  // namespace preforkd
