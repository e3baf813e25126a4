#include "daemon/embed/stop_event.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "common/base/sys_error.hpp"

namespace preforkd {

using namespace std::chrono_literals;

StopEvent::StopEvent()
    : hand_{check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "make an eventfd")},
      clock_{check(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "make a timer")},
      either_{check(::epoll_create1(EPOLL_CLOEXEC), "make an epoll set")} {
    for (const int fd : {hand_.get(), clock_.get()}) {
        epoll_event wanted{};
        wanted.events = EPOLLIN;
        check(::epoll_ctl(either_.get(), EPOLL_CTL_ADD, fd, &wanted), "watch a descriptor");
    }
}

void StopEvent::ring() noexcept { (void)::eventfd_write(hand_.get(), 1); }

void StopEvent::ring_after(std::chrono::milliseconds patience) {
    itimerspec when{};
    when.it_value.tv_sec = patience / 1s;
    when.it_value.tv_nsec = std::chrono::nanoseconds{patience % 1s}.count();
    check(::timerfd_settime(clock_.get(), 0, &when, nullptr), "set a timer");
}

bool StopEvent::take() noexcept {
    std::uint64_t times = 0;
    const bool by_hand = ::read(hand_.get(), &times, sizeof times) == sizeof times;
    const bool by_clock = ::read(clock_.get(), &times, sizeof times) == sizeof times;
    return by_hand || by_clock;
}

}  // namespace preforkd
