#pragma once
// Closing without cutting off the reply.
#include <chrono>
#include <deque>
#include <functional>

#include "common/base/clock.hpp"
#include "common/base/unique_fd.hpp"
#include "daemon/worker/loop/buffer_pool.hpp"
#include "daemon/worker/loop/reactor.hpp"

namespace preforkd {

/// How long a worker that leaves stays for clients that have their answer and do not close.
inline constexpr std::chrono::milliseconds last_linger_limit{500};

/// Connections that are done on our side and wait for the client's end.
///
/// close() with unread input makes Linux send a reset, which destroys what the client has not read yet (measured: a
/// reply of 200 000 bytes cut at 128 000).  So: SHUT_WR, drain briefly, close.  Waiting for each client's end in epoll
/// doubles the context switches; here descriptors are parked, unregistered and outside the connection limit, looked
/// at when the worker is awake anyway, and by one timer of 1 s while any is parked.
class LingerQueue {
public:
    /// `capacity`: descriptors it may hold; beyond it the oldest is closed.
    LingerQueue(Reactor& reactor, std::size_t capacity) noexcept : reactor_{reactor}, capacity_{capacity} {}

    /// Ends our side of `connection` (unless `output_ended` says that it is) and closes it as soon as the client has
    /// ended its own, after at most `patience`; zero: at once.
    void finish(UniqueFd connection, std::chrono::milliseconds patience, bool output_ended = false);

    /// Looks at a few of the parked.  Cheap; call it when the worker is awake.
    void glance();

    /// Calls `done` once nothing is parked any more, at the latest after `patience`: before the worker exits.
    void when_empty(std::chrono::milliseconds patience, std::function<void()> done);

    [[nodiscard]] std::size_t size() const noexcept { return parked_.size(); }

private:
    struct Parked {
        UniqueFd fd{};
        Clock::time_point until{};
        std::size_t drained_bytes = 0;
    };
    enum class Look { Over, Wait };

    [[nodiscard]] Look look_at(Parked& parked);
    void look_at_all();
    void arm(std::chrono::milliseconds period);

    std::deque<Parked> parked_;
    Reactor& reactor_;
    std::unique_ptr<Timer> timer_{};  // made when the first is parked
    std::size_t capacity_;
    bool armed_ = false;
    Buffer scratch_;
    Deadline leave_at_{};
    std::function<void()> when_empty_;
};

}  // namespace preforkd
