#pragma once
// Where the master and the process that observes meet: what the one hands to the other, which it forks.
#include <chrono>
#include <functional>
#include <vector>

#include "common/base/unique_fd.hpp"
#include "common/net/listener.hpp"

namespace preforkd {

/// Two pipes, and no socket, over which a process could pass descriptors to the master.  The observer writes a byte and
/// gets one line back, what the master tells (common/control/snapshot.hpp); more is not to be had from it.
struct ObserverHandoff {
    UniqueFd questions{};  ///< to write
    UniqueFd answers{};    ///< to read; its end says that the observer is to leave
    int log_pipe = -1;     ///< where it logs to, borrowed; -1: where its master does
    const std::vector<Listener>& listeners;
};

/// So often at least: one that asks no more has stopped to answer those who look, too.
inline constexpr std::chrono::seconds observer_asks_every{2};

/// What the forked child runs; its result is the exit code.
using ObserverMain = std::function<int(ObserverHandoff)>;

}  // namespace preforkd
