#include "daemon/worker/handler/outbound_wait.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace preforkd {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using WaitClock = asio::steady_timer::clock_type;

OutboundWait::OutboundWait(const asio::any_io_executor& home, std::chrono::milliseconds patience) : wakeup{home} {
    wakeup.expires_at(patience == 0ms ? WaitClock::time_point::max() : WaitClock::now() + patience);
}

void OutboundWait::step_over(const boost::system::error_code& came_to) {
    error = came_to;
    over = true;
    wakeup.cancel();
}

void OutboundWait::stop() {
    stopped = true;
    wakeup.cancel();
}

awaitable<std::error_code> OutboundWait::end_of_step() {
    boost::system::error_code ignored;
    if (!over && !stopped) co_await wakeup.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    const std::error_code came_to = error;
    if (std::exchange(over, false)) co_return came_to;
    const bool late = !stopped && wakeup.expiry() <= WaitClock::now();
    co_return std::make_error_code(late ? std::errc::timed_out : std::errc::operation_canceled);
}

std::chrono::milliseconds OutboundWait::left() const {
    if (wakeup.expiry() == WaitClock::time_point::max()) return 0ms;
    return std::max(std::chrono::ceil<std::chrono::milliseconds>(wakeup.expiry() - WaitClock::now()), 1ms);
}

StoppedWithWorker::StoppedWithWorker(WorkerCore& core, const std::shared_ptr<OutboundWait>& wait)
    : core_{core}, place_{core.at_fast_stop([home = wait->wakeup.get_executor(), wait = std::weak_ptr{wait}] {
          asio::post(home, [wait] {
              if (const auto alive = wait.lock()) alive->stop();
          });
      })} {}

}  // namespace preforkd
