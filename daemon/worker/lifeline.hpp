#pragma once
// How a worker whose handler never gives the thread back still notices that the master died.
#include <chrono>
#include <span>

namespace preforkd {

/// Once the master's end of `channel` is closed, takes this process off `listeners` at once, whatever it is doing, so
/// that a new master's workers get every client: SIGIO on the channel (O_ASYNC) runs a handler that replaces each
/// listener by a dead descriptor of the same number (a close would let the number be given to the next connection) and
/// takes it out of the epoll set `reactor` (-1: none).  What runs then has `patience` to end: see arm_last_deadline().
/// One per process; the descriptors must stay open.  Source: fcntl(2) F_SETOWN, signal-safety(7) for dup2 and poll.
void watch_lifeline(int channel, int reactor, std::span<const int> listeners, std::chrono::milliseconds patience);

}  // namespace preforkd
