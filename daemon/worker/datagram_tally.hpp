#pragma once
// What becomes of datagrams beside being served, counted where threads and children can count too.
#include <atomic>
#include <cstdint>
#include <memory>

#include "common/clock.hpp"
#include "common/listener.hpp"
#include "common/traffic.hpp"

namespace preforkd {

/// One worker's counters of one listener, in memory that it shares with the children it forks.
struct DatagramTally {
    TrafficCounter traffic;
    std::atomic<std::uint64_t> lost_replies{};  ///< no room at the receiver, or nobody there
    std::atomic<std::uint64_t> too_long{};      ///< received cut, so not served
    std::atomic<std::uint64_t> dropped{};       ///< by the kernel, of the whole socket: its receive buffer was full
};

[[nodiscard]] std::shared_ptr<DatagramTally> make_shared_tally(TrafficCounter traffic);

/// Says in the log what a tally has come to: a line for each counter that grew, at most once a second.
class TallyReport {
public:
    /// Called when the worker is awake anyway: there is no timer behind it.
    void look_at(const DatagramTally& tally, const Listener& listener);

private:
    std::uint64_t lost_replies_ = 0;
    std::uint64_t too_long_ = 0;
    std::uint64_t dropped_ = 0;
    Deadline silent_until_{};
};

}  // namespace preforkd
