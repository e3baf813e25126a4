#pragma once
// Fewer queues at an address, queues=, without losing a client.
//
// New clients are steered to the first queues.  Workers go on serving the others, until nobody can come out of a
// handshake there any more, and then until they are empty.  Shutting such a queue down closes it for all who share it,
// and at a moment that the master knows, so that the kernel's order stays known: the next reload has no part of it, or
// has it listen again.  The kernel could also give its half-open clients to the others (tcp_migrate_req), where root
// has allowed that.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

#include "common/base/clock.hpp"
#include "common/net/listener.hpp"
#include "common/systemd/systemd_notify.hpp"

namespace preforkd {

/// How long the kernel waits for the end of a handshake: it sends a SYN-ACK, and again after 1, 2, 4 s ... (120 s at
/// most), so many times, and gives up when the time after the last is over.  A second more, for timers that are late.
/// Source: tcp(7), tcp_synack_retries; Linux, reqsk_timer_handler(), TCP_TIMEOUT_INIT, TCP_RTO_MAX.
[[nodiscard]] constexpr std::chrono::seconds longest_handshake(int synack_retries) noexcept {
    constexpr std::chrono::seconds longest{120};
    std::chrono::seconds all{1}, next{1};
    for (int sent = 0; sent <= synack_retries; ++sent, next = std::min(2 * next, longest)) all += next;
    return all;
}

static_assert(longest_handshake(0) == std::chrono::seconds{2} && longest_handshake(5) == std::chrono::seconds{64});
static_assert(longest_handshake(7) == std::chrono::seconds{1 + 127 + 120});

class QueueRetirement {
public:
    /// `systemd`, which keeps listeners, must outlive it.
    explicit QueueRetirement(SystemdNotify& systemd) : systemd_{systemd} {}

    /// Steers new clients of these listeners, of a generation that serves, to the queues that are to stay.
    void follow(const std::vector<Listener>& listeners, Clock::time_point now);

    [[nodiscard]] Deadline deadline() const noexcept { return look_at_; }
    /// Not now.
    void look_later(Clock::time_point now) noexcept;

    /// Once the deadline has passed: closes those that nobody is in any more.  `listeners`: as followed.
    void close_empty(std::vector<Listener>& listeners, Clock::time_point now);

private:
    SystemdNotify& systemd_;
    std::vector<std::size_t> going_{};  ///< by their index
    Deadline look_at_{};
};

}  // namespace preforkd
