#include "common/base/epoll_set.hpp"

#include <algorithm>

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

EpollSet::EpollSet() : epoll_{check(::epoll_create1(EPOLL_CLOEXEC), "create an epoll set")} {}

bool EpollSet::control(int operation, int fd, std::uint64_t key, std::uint32_t events) noexcept {
    epoll_event wanted{};
    wanted.events = events;
    wanted.data.u64 = key;
    return ::epoll_ctl(epoll_.get(), operation, fd, &wanted) == 0;
}

void EpollSet::watch(int fd, std::uint64_t key) {
    if (!add(fd, key, EPOLLIN)) throw_errno("watch a descriptor");
}

std::span<const std::uint64_t> EpollSet::wait_until(Deadline deadline) {
    std::array<epoll_event, std::tuple_size_v<decltype(keys_)>> events;
    const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms(deadline));
    if (ready == -1 && errno != EINTR) throw_errno("wait for events");
    const auto count = static_cast<std::size_t>(std::max(ready, 0));
    for (std::size_t index = 0; index < count; ++index) keys_[index] = events[index].data.u64;
    return {keys_.data(), count};
}

}  // namespace preforkd
