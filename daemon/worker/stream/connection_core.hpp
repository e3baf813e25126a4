#pragma once
// What is behind a Connection.
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/post.hpp>

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
#include "daemon/worker/loop/loop.hpp"
#include "daemon/worker/stream/client_tls.hpp"
#include "daemon/worker/stream/kept_address.hpp"
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

    /// What waits: one of each may at a time.
    enum class Side : std::uint8_t { Reading, Writing };

    /// `accepted`: non-blocking; `address`: the client's.
    ConnectionCore(Loop& home, UniqueFd accepted, const SocketAddress& address)
        : loop{home}, fd_{std::move(accepted)}, address_{address} {}
    ~ConnectionCore() { loop.buffers.give_back(std::move(buffer)); }
    ConnectionCore(const ConnectionCore&) = delete;
    ConnectionCore& operator=(const ConnectionCore&) = delete;

    /// Its socket, whose bytes are not the client's where it has `tls`.
    [[nodiscard]] int fd() noexcept { return socket_ ? socket_->native_handle() : fd_.get(); }

    /// Waits in the reactor until the client has sent, or taken, something; an error if it took too long.
    /// `until`: of the operation as a whole, decided at its first wait.
    [[nodiscard]] awaitable<std::error_code> wait(Side side, For what, Deadline& until);

    // The same in pieces, for the coroutine in which an idle connection waits: no frame of its own is needed for
    //     if (error = begin_wait(side, what, until)) ...;
    //     co_await readiness(side, what);
    //     if (error = end_wait(side, what)) ...
    [[nodiscard]] std::error_code begin_wait(Side side, For what, Deadline& until) {
        ended(side) = {};
        return what == For::Turn ? no_error : begin_wait(waiting(side), until);
    }
    [[nodiscard]] auto readiness(Side side, For what) {
        // redirect_error() of Boost 1.81 does not know `deferred`, and use_awaitable is a coroutine.
        return boost::asio::async_initiate<const boost::asio::deferred_t, void()>(
            [this, side, what]<class Resume>(Resume&& resume) { start_wait(side, what, std::forward<Resume>(resume)); },
            boost::asio::deferred);
    }
    [[nodiscard]] std::error_code end_wait(Side side, For what);

    /// As begin_wait() for input, of a wait that a drain ends.
    [[nodiscard]] std::error_code begin_idle_wait(Deadline& until);

    // And where somebody else waits in the reactor, on socket(), between begin_wait() and this.  `error`: an errno.
    [[nodiscard]] std::error_code end_wait(Side side, int error) {
        ended(side).error = static_cast<std::uint16_t>(error);
        return end_wait(side, For::Input);
    }
    /// Whether the wait has to go on: not it was to end, but that of the other side.
    [[nodiscard]] bool wakes_in_vain(Side side, const boost::system::error_code& error) noexcept;
    /// Its handler has canceled it.
    void withdraw(Side side) noexcept { ended(side).withdrawn = true; }

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

    /// Its socket in the reactor, which it joins if it had not.
    [[nodiscard]] boost::asio::generic::stream_protocol::socket& socket();

    [[nodiscard]] static ConnectionCore& behind(Connection& connection) noexcept { return connection.core_; }

    /// Takes the descriptor out of the reactor, for the close.
    [[nodiscard]] UniqueFd release();

    /// Whether it has joined the reactor, so that a wait sees what has come already.
    [[nodiscard]] bool in_reactor() const noexcept { return socket_.has_value(); }

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
    bool input_ended = false;   ///< Stream has seen that, of which the reactor tells once
    Loop& loop;
    const TrafficCounter* traffic = &loop.traffic;
    std::unique_ptr<ClientTls> tls{};  ///< of tls://
    /// No std::optional, which would be as long again.
    static constexpr auto no_operation_timeout = std::chrono::milliseconds::min();
    std::chrono::milliseconds operation_timeout = no_operation_timeout;  ///< that: --idle-timeout for each wait

    Buffer buffer{};  ///< lent while the last read's bytes are valid, or unread ones are left
    std::uint32_t unread_begin = 0;
    std::uint32_t unread_end = 0;

private:
    /// Of a coroutine that nothing cancels, as of most.
    struct NoSlot {
        operator boost::asio::cancellation_slot() const noexcept { return {}; }
    };

    /// What the reactor calls when a wait has ended.
    template <class Resume, class Slot>
    struct Woken {
        using cancellation_slot_type = boost::asio::cancellation_slot;
        [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept { return slot; }

        [[gnu::always_inline]] void operator()(const boost::system::error_code& error) {
            if (error) [[unlikely]] {
                if (core.wakes_in_vain(side, error)) return start_again();
                core.ended(side).error = static_cast<std::uint16_t>(error.value());
            }
            std::move(resume)();
        }
        [[gnu::cold, gnu::noinline]] void start_again() { core.start_wait(std::move(*this)); }

        ConnectionCore& core;
        Side side;
        For what;
        Resume resume;
        [[no_unique_address]] Slot slot;
    };

    /// Cancels a wait.  That may have ended a moment ago, and its coroutine not know it: that takes nothing either.
    struct Cancel {
        Cancel(ConnectionCore& its_core, Side its_side) noexcept : core{its_core}, side{its_side} {}
        void operator()(boost::asio::cancellation_type_t type) {
            core.withdraw(side);
            wait.emit(type);
        }

        ConnectionCore& core;
        Side side;
        boost::asio::cancellation_signal wait{};
    };

    template <class Resume>
    void start_wait(Side side, For what, Resume&& resume) {
        auto canceling = boost::asio::get_associated_cancellation_slot(resume);
        if (!canceling.is_connected()) [[likely]]
            return start_wait(Woken<std::decay_t<Resume>, NoSlot>{
                .core = *this, .side = side, .what = what, .resume = std::forward<Resume>(resume), .slot = {}});
        const auto slot = canceling.template emplace<Cancel>(*this, side).wait.slot();
        start_wait(Woken<std::decay_t<Resume>, boost::asio::cancellation_slot>{
            .core = *this, .side = side, .what = what, .resume = std::forward<Resume>(resume), .slot = slot});
    }
    template <class Resume, class Slot>
    void start_wait(Woken<Resume, Slot>&& woken) {
        using boost::asio::socket_base;
        if (woken.what == For::Turn) [[unlikely]]
            return take_turn(std::move(woken));
        const auto wanted = woken.what == For::Input ? socket_base::wait_read : socket_base::wait_write;
        socket_->async_wait(wanted, std::move(woken));
    }
    template <class Resume, class Slot>
    [[gnu::cold, gnu::noinline]] void take_turn(Woken<Resume, Slot>&& woken) {
        boost::asio::post(loop.reactor.context, [woken = std::move(woken)]() mutable { woken({}); });
    }

    /// How a wait has ended.
    struct Ended {
        std::uint16_t error = 0;  ///< an errno
        bool in_vain = false;     ///< it is going to, since the other one was to end
        bool withdrawn = false;   ///< its handler has canceled it
    };
    [[nodiscard]] Ended& ended(Side side) noexcept { return ended_[static_cast<std::size_t>(side)]; }

    /// What writes and has to wait: not there until it has to, as most never do.
    struct WaitingToWrite final : Waiting {
        explicit WaitingToWrite(ConnectionCore& home) noexcept : core{home} {}
        void give_up() override { core.end_wait_of(Side::Writing); }
        ConnectionCore& core;
    };
    [[nodiscard]] Waiting& waiting(Side side) {
        if (side == Side::Reading) return *this;
        auto& writing = seldom().waiting_to_write;
        return writing ? *writing : writing.emplace(*this);
    }
    [[nodiscard]] std::error_code begin_wait(Waiting& wait, Deadline& until);
    void give_up() override { end_wait_of(Side::Reading); }
    void end_wait_of(Side side);
    [[nodiscard]] std::error_code canceled() noexcept;
    [[nodiscard]] std::chrono::milliseconds patience(Deadline& until) const;

    [[nodiscard]] Arrived receive_record(std::span<std::byte> space);
    [[nodiscard]] Sent send_record(std::span<const iovec> parts, bool more);

    UniqueFd fd_;  ///< until it joins the reactor
    bool timed_out_ = false;
    bool canceled_ = false;
    bool cut_ = false;
    std::array<Ended, 2> ended_{};  ///< of each side
    std::optional<boost::asio::generic::stream_protocol::socket> socket_{};
    KeptAddress address_;
    /// What few connections have, behind one pointer: most are idle most of the time.
    struct Seldom {
        std::unique_ptr<const Announced> announced{};
        std::optional<Endpoint> peer{};  ///< once asked for
        std::optional<Endpoint> local{};
        std::optional<WaitingToWrite> waiting_to_write{};
    };
    [[nodiscard]] Seldom& seldom() {
        if (!seldom_) seldom_ = std::make_unique<Seldom>();
        return *seldom_;
    }
    std::unique_ptr<Seldom> seldom_{};
};

}  // namespace preforkd
