#include "daemon/worker/program/stderr_rate.hpp"

#include <algorithm>
#include <utility>

#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

StderrRate::StderrRate(Reactor& reactor, std::uint32_t lines_per_second)
    : rate_{.burst = burst_seconds * lines_per_second, .per_second = std::max<std::int64_t>(lines_per_second, 1)},
      limited_{lines_per_second != 0},
      timer_{reactor.make_timer()} {}

bool StderrRate::allow() {
    if (!limited_ || lines_.take(rate_, Clock::now())) return true;
    if (dropped_++ == 0) timer_->set(1s, [this] { say_dropped(); });
    return false;
}

void StderrRate::say_dropped() {
    timer_->cancel();
    if (const std::uint64_t lines = std::exchange(dropped_, 0); lines != 0)
        log(LogLevel::Notice,
            "programs wrote more than {rate} lines a second to standard error (--stderr-rate): {lines} were dropped",
            {{"rate", rate_.per_second}, {"lines", lines}});
}

}  // namespace preforkd
