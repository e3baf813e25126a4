// These take the place of the C library's functions in every program that links the test kit, and in its children: so
// neither the daemon's code nor a handler's knows of a clock of tests, nor pays for one.
#include "daemon/test_kit/virtual_clock.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <mutex>
#include <new>
#include <vector>

namespace preforkd::test {

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr auto slice = 10ms;  // of a wait: so often it looks at the clock

/// What this process and its children have in common.
struct SharedClock {
    std::atomic<nanoseconds::rep> ahead_ns{0};
    std::atomic<std::uint64_t> ended_waits{0};
};

SharedClock& shared_clock() noexcept {
    static SharedClock if_there_is_no_memory;
    static SharedClock& clock = []() -> SharedClock& {
        void* const shared =
            ::mmap(nullptr, sizeof(SharedClock), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        return shared == MAP_FAILED ? if_there_is_no_memory : *new (shared) SharedClock;
    }();
    return clock;
}

/// A daemon's own timers, which the kernel counts down.
struct Timers {
    std::mutex mutex{};
    std::vector<int> fds{};  ///< some may be closed
};

Timers& timers() {
    static auto* const all = new Timers;
    return *all;
}

void hurry(int timer, nanoseconds time) {
    itimerspec left{};
    if (::timerfd_gettime(timer, &left) == -1) return;  // closed; a descriptor of another kind has no such time
    const nanoseconds before = std::chrono::seconds{left.it_value.tv_sec} + nanoseconds{left.it_value.tv_nsec};
    if (before == 0ns) return;
    const nanoseconds after = std::max(before - time, nanoseconds{1});
    left.it_value.tv_sec = after / 1s;
    left.it_value.tv_nsec = nanoseconds{after % 1s}.count();
    (void)::timerfd_settime(timer, 0, &left, nullptr);
}

nanoseconds time_now() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::chrono::seconds{now.tv_sec} + nanoseconds{now.tv_nsec};
}

/// Counts one when it ends.
struct CountedWait {
    CountedWait() = default;
    CountedWait(const CountedWait&) = delete;
    CountedWait& operator=(const CountedWait&) = delete;
    ~CountedWait() { ++shared_clock().ended_waits; }
};

/// Waits by `wait`, which takes milliseconds and says how many descriptors are ready, for `timeout_ms`.
template <class Wait>
int wait_in_slices(int timeout_ms, const Wait& wait) {
    const CountedWait counted;
    if (timeout_ms <= 0) return wait(timeout_ms);
    const nanoseconds until = time_now() + std::chrono::milliseconds{timeout_ms};
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - time_now());
        const int ready = wait(static_cast<int>(std::clamp<std::chrono::milliseconds>(left, 0ms, slice).count()));
        if (ready != 0 || left <= slice) return ready;
    }
}

int poll_in_slices(pollfd* fds, nfds_t count, int timeout_ms) {
    return wait_in_slices(timeout_ms, [=](int milliseconds) {
        const timespec limit{.tv_sec = 0, .tv_nsec = long{milliseconds} * 1'000'000};
        return static_cast<int>(
            ::syscall(SYS_ppoll, fds, count, milliseconds < 0 ? nullptr : &limit, nullptr, std::size_t{8}));
    });
}

}  // namespace

std::uint64_t ended_waits() noexcept { return shared_clock().ended_waits; }

void advance_clock(std::chrono::milliseconds time) {
    shared_clock().ahead_ns += nanoseconds{time}.count();
    Timers& all = timers();
    const std::scoped_lock lock{all.mutex};
    for (const int timer : all.fds) hurry(timer, time);
}

}  // namespace preforkd::test

// --- In place of the C library's ---

using namespace preforkd::test;

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
    const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
    if (result == -1 || (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE)) return result;
    const nanoseconds now = std::chrono::seconds{time->tv_sec} + nanoseconds{time->tv_nsec + shared_clock().ahead_ns};
    time->tv_sec = now / std::chrono::seconds{1};
    time->tv_nsec = nanoseconds{now % std::chrono::seconds{1}}.count();
    return 0;
}

int poll(pollfd* fds, nfds_t count, int timeout_ms) { return poll_in_slices(fds, count, timeout_ms); }

/// What poll() is where the compiler knows the size of `fds`.
int __poll_chk(pollfd* fds, nfds_t count, int timeout_ms,
               std::size_t /*bytes*/) {  // NOLINT(bugprone-reserved-identifier)
    return poll_in_slices(fds, count, timeout_ms);
}

int epoll_wait(int epoll, epoll_event* events, int count, int timeout_ms) {
    return wait_in_slices(timeout_ms, [=](int milliseconds) {
        return static_cast<int>(
            ::syscall(SYS_epoll_pwait, epoll, events, count, milliseconds, nullptr, std::size_t{8}));
    });
}

/// Boost.Asio's loops are told that there is none: they wait by epoll_wait() then, also those of children, whose timers
/// could not be reached.
int timerfd_create(clockid_t clock, int flags) noexcept {
    if ((flags & TFD_NONBLOCK) == 0) {
        errno = ENOSYS;
        return -1;
    }
    const auto timer = static_cast<int>(::syscall(SYS_timerfd_create, clock, flags));
    if (timer == -1) return timer;
    Timers& all = timers();
    const std::scoped_lock lock{all.mutex};
    if (std::ranges::find(all.fds, timer) == all.fds.end()) all.fds.push_back(timer);
    return timer;
}
}
