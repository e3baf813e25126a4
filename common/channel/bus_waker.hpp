#pragma once
// Waking those who read the bus.
#include <atomic>
#include <mutex>
#include <thread>

#include "common/base/unique_fd.hpp"

namespace preforkd {

/// Wakes all who wait for `wakeup`, that of a BusMemory.
void wake_readers(int wakeup) noexcept;

/// Has a thread of its own for that, once somebody publishes: the kernel takes longer to wake eight workers than they
/// take to read.  While it is at work, asking again costs next to nothing, and they are woken once more for all of it.
/// Whom it was to wake when its process was killed, the master wakes.
class BusWaker {
public:
    explicit BusWaker(UniqueFd wakeup) noexcept : wakeup_{std::move(wakeup)} {}
    ~BusWaker();
    BusWaker(const BusWaker&) = delete;
    BusWaker& operator=(const BusWaker&) = delete;

    [[nodiscard]] int fd() const noexcept { return wakeup_.get(); }

    /// From any thread.
    void wake() noexcept;

private:
    void start() noexcept;
    void run() noexcept;

    UniqueFd wakeup_;
    std::once_flag started_{};
    std::thread thread_{};
    enum : int { Nothing, Wake, End };
    std::atomic<int> asked_{Nothing};
};

}  // namespace preforkd
