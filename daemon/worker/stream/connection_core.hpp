#pragma once
// What is behind a Connection.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "common/base/unique_fd.hpp"
#include "common/net/socket_address.hpp"
#include "daemon/worker/accept/announced.hpp"
#include "daemon/worker/accept/connection_account.hpp"
#include "daemon/worker/loop/coroutine_wait.hpp"
#include "daemon/worker/loop/loop.hpp"
#include "daemon/worker/stream/client_tls.hpp"
#include "daemon/worker/stream/kept_address.hpp"
#include "daemon/worker/stream/unread_bytes.hpp"
#include "preforkd/connection.hpp"

namespace preforkd {

/// What std::error_code{} is, without a call into libstdc++, whose code a forked child would have to map for it.
inline const std::error_code no_error{};

struct ConnectionCore;

/// What receiving came to: more bytes in the buffer, or why not.
struct Filled {
    bool more = false;
    std::error_code error{};  ///< clear at an orderly end of the stream
};

/// Receives what there is, at least one byte behind the unread ones and at most up to `most` of them in all; nullopt:
/// nothing yet.  Keeps no buffer when there is nothing unread.
[[nodiscard]] std::optional<Filled> try_to_receive(ConnectionCore& core, std::size_t most);

[[nodiscard]] inline std::error_code error_of(int number) noexcept {
    return number == 0 ? no_error : std::error_code{number, std::generic_category()};
}

struct ConnectionCore final : private Waiting {
    /// Turn: for nothing but those who are ready before, one of whom may cancel it.
    enum class For : std::uint8_t { Input, Output, Turn };

    using Side = SocketWatch::Side;

    /// `accepted`: non-blocking; `address`: the client's.
    ConnectionCore(Loop& home, UniqueFd accepted, const SocketAddress& address)
        : fd_{std::move(accepted)}, loop{home}, address_{address} {}
    ~ConnectionCore() { loop.buffers.give_back(std::move(buffer)); }
    ConnectionCore(const ConnectionCore&) = delete;
    ConnectionCore& operator=(const ConnectionCore&) = delete;

    /// Its socket, whose bytes are not the client's where it has `tls`.
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

    /// Waits in the reactor until the client has sent, or taken, something; an error if it took too long.
    /// `until`: of the operation as a whole, decided at its first wait.
    [[nodiscard]] awaitable<std::error_code> wait(Side side, For what, Deadline& until);

    // The same in pieces, for the coroutine in which an idle connection waits: no frame of its own is needed for
    //     if (error = begin_wait(side, what, until)) ...;
    //     co_await wait.ended();
    //     if (error = end_wait(side, what)) ...
    [[nodiscard]] std::error_code begin_wait(Side side, For what, Deadline& until) {
        withdrawn(side) = false;
        return what == For::Turn ? no_error : begin_wait(waiting(side), event_of(what), until);
    }
    struct Wait final : CoroutineWait<Wait> {
        Wait(ConnectionCore& its_core, Side its_side, For waited_for) noexcept
            : core{its_core}, side{its_side}, what{waited_for} {}
        void start(SocketWaiter& waiter, boost::asio::cancellation_slot canceling) const;

        ConnectionCore& core;
        Side side;
        For what;
    };
    [[nodiscard]] std::error_code end_wait(Side side, For what);

    /// As begin_wait() for input, of a wait that a drain ends.
    [[nodiscard]] std::error_code begin_idle_wait(Deadline& until);

    [[nodiscard]] static SocketEvent event_of(For what) noexcept {
        return what == For::Output ? SocketEvent::Output : SocketEvent::Input;
    }

    /// Between begin_wait() and end_wait().
    void wait_on_socket(Side side, SocketEvent what, SocketWaiter& waiter) { watch_->wait(side, what, waiter); }

    /// Its handler has canceled what waits.  That may have ended a moment ago, and not know it: it takes nothing
    /// either.
    void withdraw(Side side) {
        withdrawn(side) = true;
        end_wait_of(side);
    }

    /// Calls `then` once something can be sent, beside whatever the handler waits for.
    void when_writable(void (*then)(ConnectionCore&));

    /// Whether a coroutine of this state can be canceled.  What it had taken when it was would be lost: so a read takes
    /// nothing before its turn.
    [[nodiscard]] static bool takes_turns(boost::asio::cancellation_state state) noexcept {
        return state.slot().is_connected();
    }

    /// What receive_now() came to.
    struct Arrived {
        enum class Kind : std::uint8_t { Bytes, Nothing, End, Failed };
        Kind kind = Kind::Nothing;
        int error = 0;          ///< Failed: an errno
        std::size_t bytes = 0;  ///< Bytes
    };

    /// Receives into `space`, which is not empty, what there is; counts it.
    [[nodiscard]] Arrived receive_now(std::span<std::byte> space) {
        if (tls) return receive_record(space);
        ssize_t got = 0;
        do got = ::recv(fd(), space.data(), space.size(), MSG_DONTWAIT);
        while (got == -1 && errno == EINTR);
        if (got > 0) {
            const auto bytes = static_cast<std::size_t>(got);
            received(bytes);
            drained = bytes < space.size();
            return {.kind = Arrived::Kind::Bytes, .bytes = bytes};
        }
        if (got == 0) return {.kind = Arrived::Kind::End};
        if (errno == EAGAIN) return {};
        return {.kind = Arrived::Kind::Failed, .error = broken(errno)};
    }

    /// What send_now() came to.
    struct Sent {
        std::size_t bytes = 0;
        int error = 0;                   ///< an errno
        std::optional<For> waits_for{};  ///< set: nothing was sent
    };

    /// Sends what the socket takes of `parts`, which are not empty, and TLS at most a record; counts it.  `flags`:
    /// MSG_MORE, where the end of our output comes at once.
    [[nodiscard]] Sent send_now(std::span<const iovec> parts, int flags);

    /// Whether it may be asked for something before a wait has.  A connection that has waited is likely to wait again:
    /// the kernel is asked once, by the wait, whether something has come.
    [[nodiscard]] bool may_have_something() noexcept { return !std::exchange(drained, false) || !in_reactor(); }

    /// What a read waits for that has got nothing: TLS may have to write first.
    [[nodiscard]] For wanted_to_read() const noexcept {
        return tls && (*tls)->read_wants_output() ? For::Output : For::Input;
    }

    /// The socket once more, as Asio has its own; as long as the connection.
    [[nodiscard]] boost::asio::generic::stream_protocol::socket& asio_socket();

    [[nodiscard]] static ConnectionCore& behind(Connection& connection) noexcept { return connection.core_; }

    /// Takes the descriptor out of the reactor, for the close.
    [[nodiscard]] UniqueFd release();

    /// Whether it has joined the reactor, so that a wait sees what has come already.
    [[nodiscard]] bool in_reactor() const noexcept { return watch_ != nullptr; }

    [[nodiscard]] bool timed_out() const noexcept { return timed_out_; }

    /// Whether its handler has been told to leave it, so that what was sent may be part of something only.
    [[nodiscard]] bool was_canceled() const noexcept { return canceled_; }

    /// The client's time is up (--request-timeout): ends what waits on the connection, and whatever comes after fails.
    void cut();

    /// Clear as long as it may be served.
    [[nodiscard]] std::error_code why_cut() const noexcept {
        return cut_ ? std::make_error_code(std::errc::timed_out) : no_error;
    }

    /// Clear as long as it may be written to: behind a part of something nothing makes sense.
    [[nodiscard]] std::error_code why_not_write() const noexcept {
        if (half_written) return std::make_error_code(std::errc::operation_canceled);
        return why_cut();
    }

    [[nodiscard]] SocketAddress address() const noexcept { return address_.get(); }
    [[nodiscard]] const Endpoint& peer();
    [[nodiscard]] const Endpoint& local();

    /// nullptr: nobody has announced the client.
    [[nodiscard]] const Announced* announced() const noexcept { return seldom_ ? seldom_->announced.get() : nullptr; }
    void set_announced(std::unique_ptr<const Announced> announced) {
        if (announced) seldom().announced = std::move(announced);
    }

    void received(std::size_t bytes) noexcept {
        traffic->received(bytes);
        account.received(bytes);
    }
    void sent(std::size_t bytes) noexcept {
        traffic->sent(bytes);
        account.sent(bytes);
    }
    /// The connection broke.
    [[nodiscard]] std::error_code broken(std::error_code error) noexcept {
        account.failed(ConnectionOutcome::Error);
        return error;
    }
    [[nodiscard]] int broken(int error) noexcept {
        account.failed(ConnectionOutcome::Error);
        return error;
    }

    // In an order without gaps: a hundred thousand idle connections hold one each.
    [[no_unique_address]] ConnectionAccount account{};
    bool output_ended = false;  ///< SHUT_WR is done
    bool drained = false;       ///< the last read left nothing in the kernel: the next has to wait
    bool half_written = false;  ///< its handler has canceled a write

private:
    bool timed_out_ = false;
    bool canceled_ = false;
    bool cut_ = false;
    std::array<bool, 2> withdrawn_{};  ///< of each side: its handler has canceled the wait
    UniqueFd fd_;

public:
    UnreadBytes unread{};  ///< in `buffer`
    Loop& loop;
    const TrafficCounter* traffic = &loop.traffic;
    std::unique_ptr<ClientTls> tls{};  ///< of tls://
    /// No std::optional, which would be as long again.
    static constexpr auto no_operation_timeout = std::chrono::milliseconds::min();
    std::chrono::milliseconds operation_timeout = no_operation_timeout;  ///< that: --idle-timeout for each wait

    Buffer buffer{};  ///< lent while the last read's bytes are valid, or unread ones are left

private:
    [[nodiscard]] bool& withdrawn(Side side) noexcept { return withdrawn_[static_cast<std::size_t>(side)]; }

    /// What writes and has to wait: not there until it has to, as most never do.
    struct WaitingToWrite final : Waiting {
        explicit WaitingToWrite(ConnectionCore& home) noexcept : core{home} {}
        void give_up() override { core.end_wait_of(Side::Writing); }
        ConnectionCore& core;
    };
    struct WhenWritable final : SocketWaiter {
        WhenWritable(ConnectionCore& home, void (*what)(ConnectionCore&)) noexcept;
        ConnectionCore& core;
        void (*then)(ConnectionCore&);
    };
    [[nodiscard]] Waiting& waiting(Side side) {
        if (side == Side::Reading) return *this;
        auto& writing = seldom().waiting_to_write;
        return writing ? *writing : writing.emplace(*this);
    }
    [[nodiscard]] std::error_code begin_wait(Waiting& wait, SocketEvent what, Deadline& until);
    void give_up() override { end_wait_of(Side::Reading); }
    void end_wait_of(Side side) {
        if (watch_) watch_->end(side);
    }
    void join_reactor(SocketEvent first) {
        if (!watch_) watch_ = loop.reactor.sockets().watch(fd_.get());
        watch_->enter(first);
    }
    [[nodiscard]] std::error_code canceled() noexcept;
    [[nodiscard]] std::chrono::milliseconds patience(Deadline& until) const;

    [[nodiscard]] Arrived receive_record(std::span<std::byte> space);
    [[nodiscard]] Sent send_record(std::span<const iovec> parts, bool more);

    KeptAddress address_;
    /// What few connections have, behind one pointer: most are idle most of the time.
    struct Seldom {
        std::unique_ptr<const Announced> announced{};
        std::optional<Endpoint> peer{};  ///< once asked for
        std::optional<Endpoint> local{};
        std::optional<WaitingToWrite> waiting_to_write{};
        std::optional<WhenWritable> when_writable{};
        std::optional<boost::asio::generic::stream_protocol::socket> socket{};
    };
    [[nodiscard]] Seldom& seldom() {
        if (!seldom_) seldom_ = std::make_unique<Seldom>();
        return *seldom_;
    }
    std::unique_ptr<Seldom> seldom_{};
    SocketWatches::Handle watch_{};  ///< once it has waited; ends before those who wait
};

}  // namespace preforkd
