#pragma once
// What a coroutine waits for that makes connections.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <memory>
#include <system_error>

#include "daemon/worker/handler/worker_core.hpp"

namespace preforkd {

/// A step of it ends by `wakeup`: when it is over, when time is up, at a fast stop, or because its coroutine is
/// canceled.
struct OutboundWait {
    /// `patience`: for all steps together; zero: for ever.
    OutboundWait(const boost::asio::any_io_executor& home, std::chrono::milliseconds patience);

    // For the thread of `home`.
    void step_over(const boost::system::error_code& came_to);
    void stop();

    /// What the step has come to that was just begun; std::errc::timed_out, std::errc::operation_canceled.
    [[nodiscard]] awaitable<std::error_code> end_of_step();

    /// Of the patience, at least a millisecond; zero: for ever.
    [[nodiscard]] std::chrono::milliseconds left() const;

    boost::asio::steady_timer wakeup;
    boost::system::error_code error{};
    bool over = false;
    bool stopped = false;
};

/// While it lives, a fast stop ends the wait.
class StoppedWithWorker {
public:
    StoppedWithWorker(WorkerCore& core, const std::shared_ptr<OutboundWait>& wait);
    ~StoppedWithWorker() { core_.forget(place_); }
    StoppedWithWorker(const StoppedWithWorker&) = delete;
    StoppedWithWorker& operator=(const StoppedWithWorker&) = delete;

private:
    WorkerCore& core_;
    WorkerCore::AtFastStop place_;
};

}  // namespace preforkd
