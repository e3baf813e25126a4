#include "daemon/master/pool/event_source.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>

#include "common/base/sys_error.hpp"

namespace preforkd {

namespace {

/// epoll_wait(2) counts in whole milliseconds; rounded up, or a deadline would be polled for.
int timeout_ms(Deadline deadline) {
    using namespace std::chrono;
    if (!deadline) return -1;
    const auto left = ceil<milliseconds>(*deadline - Clock::now());
    return static_cast<int>(std::clamp<milliseconds::rep>(left.count(), 0, hours{24} / milliseconds{1}));
}

}  // namespace

EventSource::EventSource() : epoll_{check(::epoll_create1(EPOLL_CLOEXEC), "create the master's epoll set")} {}

void EventSource::watch(int fd, std::uint64_t key) {
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.u64 = key;
    check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &wanted), "watch a descriptor");
}

void EventSource::forget(int fd) noexcept { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

std::vector<std::uint64_t> EventSource::wait_until(Deadline deadline) {
    std::array<epoll_event, 64> events{};
    const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms(deadline));
    if (ready == -1 && errno != EINTR) throw_errno("wait for events");
    std::vector<std::uint64_t> keys;
    for (int index = 0; index < ready; ++index) keys.push_back(events[static_cast<std::size_t>(index)].data.u64);
    return keys;
}

}  // namespace preforkd
