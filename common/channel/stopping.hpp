#pragma once
// What a stop has in common in master, workers and their children.
#include <chrono>
#include <cstdint>
#include <vector>

#include "common/net/listener.hpp"

namespace preforkd {

/// How long whoever was told to end at once may take: a pool at INT or when --stop-timeout is over, a worker at TERM, a
/// client's child or program.  Time for a handler to say goodbye and flush what it has; with it a fast stop, and even a
/// graceful one with some seconds of its own, is over within the 10 s that `docker stop` grants before it kills.
/// One number for all of them, because each side counts on the other's: the master kills workers when it has passed,
/// so by then a worker has left, and before that it has ended its children.
inline constexpr std::chrono::seconds fast_stop{2};

/// One warning about connections that a stop did not wait for; nothing if there were none.
/// `generation`: whose workers were ended, where others go on.
void log_cut_connections(std::uint64_t connections, int generation = 0) noexcept;

/// The final stop, seen from whoever bound the listeners: no new client gets in, Unix paths go, our copies are closed.
/// Whoever is queued can still be accepted through the workers' copies.  Sockets that outlive us are only closed.
void close_for_good(std::vector<Listener>& listeners) noexcept;

}  // namespace preforkd
