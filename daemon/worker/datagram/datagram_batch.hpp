#pragma once
// Serving datagrams in batches, in the thread that receives them: models async and serial.
#include <algorithm>
#include <chrono>
#include <memory>

#include "daemon/worker/accept/acceptor.hpp"
#include "daemon/worker/datagram/datagram_intake.hpp"
#include "daemon/worker/datagram/datagram_outbox.hpp"
#include "daemon/worker/handler/handler_set.hpp"
#include "daemon/worker/loop/loop.hpp"
#include "preforkd/handler.hpp"

namespace preforkd {

inline constexpr std::size_t most_datagrams_per_batch = 32;

/// How many datagrams to receive at once when serving one took `each`.  Those that wait in one worker's batch are out
/// of reach of idle siblings, so a batch takes about a millisecond at most.
[[nodiscard]] constexpr std::size_t batch_size_for(std::chrono::nanoseconds each) noexcept {
    constexpr std::chrono::nanoseconds longest_wait = std::chrono::milliseconds{1};
    if (each <= std::chrono::nanoseconds::zero()) return most_datagrams_per_batch;
    const auto fitting = static_cast<std::size_t>(longest_wait / each);
    return std::clamp<std::size_t>(fitting, 1, most_datagrams_per_batch);
}

static_assert(batch_size_for(std::chrono::microseconds{2}) == most_datagrams_per_batch);
static_assert(batch_size_for(std::chrono::seconds{1}) == 1);

/// What all datagram listeners of one worker share: buffers, and the replies that leave together.
class DatagramBatches {
public:
    /// Whichever of the two `handler` needs.
    [[nodiscard]] Acceptor::Take receive(const DatagramInlet& inlet, const AnyDatagramHandler& handler, Loop& loop);

    /// Serves datagrams one after the other.
    [[nodiscard]] Acceptor::Take receive(const DatagramInlet& inlet, DatagramHandler& handler);

    /// Starts a coroutine in `loop` for each.  `loop` outlives them.
    [[nodiscard]] Acceptor::Take receive(const DatagramInlet& inlet, AsyncDatagramHandler& handler, Loop& loop);

private:
    friend class DatagramBatch;
    DatagramIntake& intake();

    std::unique_ptr<DatagramIntake> intake_{};  // made with the first datagram listener
    DatagramOutbox outbox_{};
};

}  // namespace preforkd
