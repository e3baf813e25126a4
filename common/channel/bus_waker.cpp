#include "common/channel/bus_waker.hpp"

#include <sys/eventfd.h>

#include <cerrno>
#include <system_error>

#include "common/process/thread_signals.hpp"

namespace preforkd {

void wake_readers(int wakeup) noexcept {
    if (::eventfd_write(wakeup, 1) == 0 || errno != EAGAIN) return;
    // Somebody has filled it, who means harm: nobody would be woken any more.
    eventfd_t count = 0;
    (void)::eventfd_read(wakeup, &count);
    (void)::eventfd_write(wakeup, 1);
}

BusWaker::~BusWaker() {
    if (!thread_.joinable()) return;
    asked_ = End;
    asked_.notify_one();
    thread_.join();
}

void BusWaker::wake() noexcept {
    std::call_once(started_, [this] { start(); });
    if (!thread_.joinable())
        wake_readers(wakeup_.get());
    else if (asked_.exchange(Wake) == Nothing)
        asked_.notify_one();
}

/// Without one where there are no threads to be had.
void BusWaker::start() noexcept {
    const ThreadSignals quiet;
    try {
        thread_ = std::thread{[this] { run(); }};
    } catch (const std::system_error&) {}
}

void BusWaker::run() noexcept {
    for (int asked = Nothing; asked != End;) {
        asked_.wait(Nothing);
        asked = asked_.exchange(Nothing);
        wake_readers(wakeup_.get());
    }
}

}  // namespace preforkd
