#pragma once
// What a worker's main loop offers, whichever it is: Boost.Asio's for coroutines, a bare epoll set where the worker
// forks.
#include <chrono>
#include <functional>
#include <memory>

#include "common/base/unique_fd.hpp"

namespace preforkd {

/// A socket that several worker processes wait on, of which the kernel wakes about one per client (EPOLLEXCLUSIVE).
/// Closed when it is destroyed.
class SharedQueue {
public:
    virtual ~SharedQueue() = default;

    [[nodiscard]] virtual int fd() const noexcept = 0;

    /// Enters the kernel's queue of sleepers, at its end.
    virtual void join() = 0;

    /// Leaves it: at the limit, before a pause, before a drain.  Leaving twice is no error.
    ///
    /// The kernel may already have chosen this worker for a client that is still queued, and tells nobody else; look
    /// once more after leaving, or have a sibling look, or that client waits until the next one comes.
    virtual void leave() = 0;

    /// Moves to the end of the queue.  The kernel prefers the sleeper that came first, so without this one worker gets
    /// nearly everything; every 16 accepts is often enough.
    void yield_turn() {
        leave();
        join();
    }
};

/// One deadline with what to do then.  Setting it again replaces it; destroying it cancels it.
class Timer {
public:
    virtual ~Timer() = default;
    virtual void set(std::chrono::milliseconds from_now, std::function<void()> then) = 0;
    virtual void cancel() = 0;
};

/// Calls back from run(), in its thread.  Everything it made must be destroyed before it.
class Reactor {
public:
    virtual ~Reactor() = default;

    /// Takes `socket` (non-blocking).  `readable` is called again and again while it is joined and somebody is queued:
    /// the callback must take something, or leave, and must not destroy the queue.
    [[nodiscard]] virtual std::unique_ptr<SharedQueue> share(UniqueFd socket, std::function<void()> readable) = 0;

    /// Calls `readable` while `fd` (borrowed) is readable.
    virtual void watch(int fd, std::function<void()> readable) = 0;
    virtual void forget(int fd) = 0;

    [[nodiscard]] virtual std::unique_ptr<Timer> make_timer() = 0;

    /// The epoll set it sleeps on; borrowed.
    [[nodiscard]] virtual int epoll_fd() = 0;

    virtual void run() = 0;   ///< until stop()
    virtual void stop() = 0;  ///< from a callback
};

}  // namespace preforkd
