#include "daemon/master/reload/queue_retirement.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <fstream>

#include "common/net/listener_queues.hpp"
#include "common/systemd/stored_listeners.hpp"
#include "preforkd/log.hpp"

namespace preforkd {
namespace {

/// Without /proc it may be as many as the kernel allows: what waits is served.
int synack_retries() {
    int retries = 255;
    std::ifstream{"/proc/sys/net/ipv4/tcp_synack_retries"} >> retries;
    return retries;
}

bool somebody_is_queued(int fd) noexcept {
    pollfd queue{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&queue, 1, 0) != 0;
}

}  // namespace

void QueueRetirement::follow(const std::vector<Listener>& listeners, Clock::time_point now) {
    going_.clear();
    for (const Listener& each : listeners)
        if (each.queue == 0 && each.local.transport == Transport::Tcp && !each.inherited) {
            const std::vector<std::size_t> surplus = steer_clients(listeners, each);
            going_.insert(going_.end(), surplus.begin(), surplus.end());
        }
    look_at_ = going_.empty() ? Deadline{} : Deadline{now + longest_handshake(synack_retries())};
}

void QueueRetirement::look_later(Clock::time_point now) noexcept { look_at_ = now + std::chrono::seconds{1}; }

void QueueRetirement::close_empty(std::vector<Listener>& listeners, Clock::time_point now) {
    look_at_.reset();
    note_lost_order(listeners);
    // The last of an address first, so that none moves in the kernel's order.
    for (; !going_.empty(); going_.pop_back()) {
        Listener& last = listeners[going_.back()];
        if (last.order_lost) continue;
        if (somebody_is_queued(last.fd.get())) return look_later(now);
        ::shutdown(last.fd.get(), SHUT_RD);
        forget_listener(systemd_, last);
        log(LogLevel::Notice, "closed queue {queue} of {endpoint}: it is empty, and no client comes there any more",
            {{"queue", std::int64_t{last.queue + 1}}, {"endpoint", to_string(last)}});
    }
}

}  // namespace preforkd
