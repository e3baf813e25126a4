#include "daemon/worker/lifeline.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <vector>

#include "common/sys_error.hpp"
#include "daemon/worker/last_deadline.hpp"

namespace preforkd {

namespace {

// What the signal handler works on: plain values, written before the handler is installed.
struct Watched {
    int channel = -1;
    int reactor = -1;
    int dead = -1;
    std::vector<int> listeners{};
    std::chrono::milliseconds patience{};
} watched;
volatile std::sig_atomic_t broken = 0;

void on_channel_event(int) {
    const int saved_errno = errno;
    pollfd channel{.fd = watched.channel, .events = 0, .revents = 0};
    if (broken == 0 && ::poll(&channel, 1, 0) > 0 && (channel.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) {
        broken = 1;
        for (const int listener : watched.listeners) {
            if (watched.reactor >= 0) ::epoll_ctl(watched.reactor, EPOLL_CTL_DEL, listener, nullptr);
            ::dup2(watched.dead, listener);
        }
        arm_last_deadline(watched.patience);
    }
    errno = saved_errno;
}

}  // namespace

void watch_lifeline(int channel, int reactor, std::span<const int> listeners, std::chrono::milliseconds patience) {
    watched = {.channel = channel,
               .reactor = reactor,
               .dead = check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "make a dead descriptor"),
               .listeners = {listeners.begin(), listeners.end()},
               .patience = patience};
    broken = 0;
    struct sigaction action {};
    action.sa_handler = on_channel_event;
    action.sa_flags = SA_RESTART;
    check(::sigaction(SIGIO, &action, nullptr), "watch the lifeline");
    check(::fcntl(channel, F_SETOWN, ::getpid()), "watch the lifeline");
    const int flags = check(::fcntl(channel, F_GETFL), "watch the lifeline");
    check(::fcntl(channel, F_SETFL, flags | O_ASYNC), "watch the lifeline");
    on_channel_event(SIGIO);  // the master may have died before
}

}  // namespace preforkd
