#pragma once
#include <chrono>

namespace preforkd {

/// How long whoever was told to end at once may take: a pool at INT or when --stop-timeout is over, a worker at TERM, a
/// client's child or program.  Time for a handler to say goodbye and flush what it has; with it a fast stop, and even a
/// graceful one with some seconds of its own, is over within the 10 s that `docker stop` grants before it kills.
/// One number for all of them, because each side counts on the other's: the master kills workers when it has passed,
/// so by then a worker has left, and before that it has ended its children.
inline constexpr std::chrono::seconds fast_stop{2};

}  // namespace preforkd
