#pragma once
// What --log-connections end tells of a connection: how long it took, its bytes, its outcome, and how long it had
// waited before.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/base/clock.hpp"
#include "common/channel/connection_outcome.hpp"
#include "common/net/listener.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd {

/// A wait that nobody knows.  No std::optional, which a probe would have to be prepared from.
inline constexpr std::chrono::milliseconds not_measured{-1};

/// How a connection has ended; and beside it, where somebody wants to know, what its last line tells: else a pointer,
/// and no clock is read.
class ConnectionAccount {
public:
    ConnectionAccount() noexcept = default;
    /// Opens it: the connection has just been accepted.  `listener` outlives it.  `waited`: in the accept queue.
    ConnectionAccount(const SocketAddress& peer, const Listener& listener, std::chrono::milliseconds waited)
        : entries_{new Entries{.peer = peer, .listener = listener, .waited = waited}} {}

    void received(std::size_t bytes) noexcept {
        if (entries_) entries_->received_bytes += bytes;
    }
    void sent(std::size_t bytes) noexcept {
        if (entries_) entries_->sent_bytes += bytes;
    }

    /// Notes what went wrong.  What was noted first stays: the rest follows from it.  Only that a client was waited for
    /// in vain says less than what it was waited for with.
    void failed(ConnectionOutcome outcome) noexcept {
        const bool says_more = outcome == ConnectionOutcome::Handshake && outcome_ == ConnectionOutcome::IdleTimeout;
        if (outcome_ != ConnectionOutcome::Ok && !says_more) return;
        const bool is_late = outcome == ConnectionOutcome::Cut && entries_ && entries_->late();
        outcome_ = is_late ? ConnectionOutcome::RequestTimeout : outcome;
    }
    [[nodiscard]] ConnectionOutcome outcome() const noexcept { return outcome_; }

    /// --request-timeout, zero: none; where a process only hears that it should end, not why: a client that is cut
    /// after it was late.
    void set_limit(std::chrono::milliseconds limit) noexcept {
        if (entries_) entries_->limit = limit;
    }

    /// Prints the line, once.  The bytes are not known where they passed by this process: a program served, or a child
    /// that died has taken them along.
    void close(bool bytes_are_known = true);

    /// Another process prints it.
    void leave() noexcept { entries_ = nullptr; }

private:
    struct Entries {
        SocketAddress peer;
        const Listener& listener;
        std::chrono::milliseconds waited;
        Clock::time_point begun = Clock::now();
        std::chrono::milliseconds limit{};
        std::uint64_t received_bytes = 0;
        std::uint64_t sent_bytes = 0;

        [[nodiscard]] bool late() const noexcept { return limit.count() != 0 && Clock::now() >= begun + limit; }
    };

    std::unique_ptr<Entries> entries_{};
    ConnectionOutcome outcome_ = ConnectionOutcome::Ok;
};

}  // namespace preforkd
