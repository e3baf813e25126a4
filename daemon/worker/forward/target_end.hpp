#pragma once
// The connection to a target, in the loop of the client whose bytes it takes.
#include <memory>
#include <span>

#include "daemon/worker/forward/targets.hpp"
#include "daemon/worker/stream/connection_core.hpp"

namespace preforkd {

/// Each of its waits ends when the socket is ready, and all of one socket at cancel().
class TargetEnd {
public:
    using Arrived = ConnectionCore::Arrived;
    using For = ConnectionCore::For;
    using Sent = ConnectionCore::Sent;
    using Side = ConnectionCore::Side;

    explicit TargetEnd(Loop& loop) noexcept : loop_{loop} {}

    /// Begins to connect a new socket.  Throws std::system_error for what only this machine lacks, such as descriptors.
    [[nodiscard]] std::error_code begin_connect(const SocketAddress& address);
    /// Once it has become writable.
    [[nodiscard]] std::error_code end_connect();
    void begin_tls(TlsClient& client) { tls_ = client.connect(fd()); }
    [[nodiscard]] TlsResult shake_hands() { return tls_->handshake(); }
    /// Why that has failed, in words.
    [[nodiscard]] std::string distrust(const std::error_code& error) const;

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] bool is_plain() const noexcept { return !tls_; }

    [[nodiscard]] Arrived receive_now(std::span<std::byte> space);
    [[nodiscard]] Sent send_now(std::span<const std::byte> bytes);
    [[nodiscard]] For wanted_to_read() const noexcept {
        return tls_ && tls_->read_wants_output() ? For::Output : For::Input;
    }
    /// An error: it was canceled.
    [[nodiscard]] awaitable<std::error_code> wait(Side side, For what);
    [[nodiscard]] awaitable<void> end_output();
    void cancel() noexcept;

    // Of bytes that have passed by receive_now() and send_now().
    void received(std::size_t) noexcept {}
    void sent(std::size_t) noexcept {}

private:
    struct Wait final : CoroutineWait<Wait> {
        Wait(SocketWatch& its_watch, Side its_side, SocketEvent waited_for) noexcept
            : watch{its_watch}, side{its_side}, what{waited_for} {}
        void start(SocketWaiter& waiter, const boost::asio::cancellation_slot&) const {
            watch.wait(side, what, waiter);
        }
        SocketWatch& watch;
        Side side;
        SocketEvent what;
    };

    Loop& loop_;
    UniqueFd fd_{};
    SocketWatches::Handle watch_{};
    std::unique_ptr<TlsStream> tls_{};  // before the socket ends
    bool drained_ = false;              ///< the last read left nothing in the kernel
    bool canceled_ = false;
};

}  // namespace preforkd
