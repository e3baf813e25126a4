#pragma once
// Which queues of one address a worker is to serve first.  Pure.
#include <limits>

namespace preforkd {

/// How many clients a worker takes from a queue before it goes behind the others who sleep there; see
/// SharedQueue::yield_turn().
inline constexpr int takes_per_turn = 16;

/// One of the workers that serve an address, as the queues are shared out among them.
struct QueueShare {
    int slot = 0;  ///< as WorkerHandoff has it
    int workers = 1;

    /// Each queue is somebody's own, and each worker has one, if there are as many.
    [[nodiscard]] constexpr bool owns(int queue, int queues) const noexcept {
        return workers >= queues ? slot % queues == queue : queue % workers == slot % workers;
    }

    /// The kernel wakes who came first of those that are idle.  Whoever takes from another's queue goes behind its
    /// owner at once, so that each is woken for its own, and only where that is busy for others.
    [[nodiscard]] constexpr int takes_before_yielding(int queue, int queues) const noexcept {
        if (queues == 1) return takes_per_turn;
        if (!owns(queue, queues)) return 1;
        return workers > queues ? takes_per_turn : std::numeric_limits<int>::max();
    }
};

static_assert(QueueShare{.slot = 3, .workers = 4}.owns(1, 2) && !QueueShare{.slot = 2, .workers = 4}.owns(1, 2));
static_assert(QueueShare{.slot = 1, .workers = 2}.owns(3, 5) && !QueueShare{.slot = 1, .workers = 2}.owns(4, 5));

}  // namespace preforkd
