#pragma once
// What --log-connections end tells of a connection: how long it took, its bytes, its outcome.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/base/clock.hpp"
#include "common/net/listener.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd {

/// How serving a connection ended.
enum class ConnectionOutcome {
    Ok,
    Error,           ///< the handler threw, the program failed, or the connection broke
    IdleTimeout,     ///< the client was waited for in vain
    RequestTimeout,  ///< --request-timeout
    Cut,             ///< the worker had to leave
    Refused,         ///< the handler's verify() said no
    Handshake,       ///< TLS was not agreed on
};

/// Kept beside a connection where somebody wants to know, else empty: a pointer, and no clock is read.
class ConnectionAccount {
public:
    ConnectionAccount() noexcept = default;
    /// Opens it: the connection has just been accepted.  `listener` outlives it.
    ConnectionAccount(const SocketAddress& peer, const Listener& listener)
        : entries_{new Entries{.peer = peer, .listener = listener}} {}

    void received(std::size_t bytes) noexcept {
        if (entries_) entries_->received_bytes += bytes;
    }
    void sent(std::size_t bytes) noexcept {
        if (entries_) entries_->sent_bytes += bytes;
    }

    /// Notes what went wrong.  What was noted first stays: the rest follows from it.  Only that a client was waited for
    /// in vain says less than what it was waited for with.
    void failed(ConnectionOutcome outcome) noexcept {
        if (!entries_) return;
        const bool says_more =
            outcome == ConnectionOutcome::Handshake && entries_->outcome == ConnectionOutcome::IdleTimeout;
        if (entries_->outcome != ConnectionOutcome::Ok && !says_more) return;
        entries_->outcome =
            outcome == ConnectionOutcome::Cut && entries_->late() ? ConnectionOutcome::RequestTimeout : outcome;
    }

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
        Clock::time_point begun = Clock::now();
        std::chrono::milliseconds limit{};
        std::uint64_t received_bytes = 0;
        std::uint64_t sent_bytes = 0;
        ConnectionOutcome outcome = ConnectionOutcome::Ok;

        [[nodiscard]] bool late() const noexcept { return limit.count() != 0 && Clock::now() >= begun + limit; }
    };

    std::unique_ptr<Entries> entries_{};
};

}  // namespace preforkd
