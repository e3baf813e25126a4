#pragma once
// What is behind a Connection.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include <cstdint>
#include <memory>
#include <optional>
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

struct ConnectionCore final : private Waiting {
    enum class For { Input, Output };

    /// `accepted`: non-blocking; `address`: the client's; outlives this.
    ConnectionCore(Loop& home, UniqueFd accepted, const KeptAddress& address) noexcept
        : loop{home}, fd_{std::move(accepted)}, address_{address} {}
    ~ConnectionCore() { loop.buffers.give_back(std::move(buffer)); }
    ConnectionCore(const ConnectionCore&) = delete;
    ConnectionCore& operator=(const ConnectionCore&) = delete;

    /// Its socket, whose bytes are not the client's where it has `tls`.
    [[nodiscard]] int fd() noexcept { return socket_ ? socket_->native_handle() : fd_.get(); }

    /// Waits in the reactor until the client has sent, or taken, something; an error if it took too long.
    /// `until`: of the operation as a whole, decided at its first wait.
    [[nodiscard]] awaitable<std::error_code> wait(For what, Deadline& until);

    // The same in pieces, for the coroutine in which an idle connection waits: no frame of its own is needed for
    //     if (error = begin_wait(until)) ...;  co_await readiness(what, waited);  if (error = end_wait(waited)) ...
    [[nodiscard]] std::error_code begin_wait(Deadline& until);
    [[nodiscard]] auto readiness(For what, boost::system::error_code& error) {
        using boost::asio::socket_base;
        const auto wanted = what == For::Input ? socket_base::wait_read : socket_base::wait_write;
        // redirect_error() of Boost 1.81 does not know `deferred`, and use_awaitable is a coroutine.
        return boost::asio::async_initiate<const boost::asio::deferred_t, void()>(
            [this, wanted, &error](auto resume) {
                socket_->async_wait(wanted,
                                    [&error, resume = std::move(resume)](boost::system::error_code came) mutable {
                                        error = came;
                                        std::move(resume)();
                                    });
            },
            boost::asio::deferred);
    }
    [[nodiscard]] std::error_code end_wait(boost::system::error_code error);

    /// What a read waits for that has got nothing: TLS may have to write first.
    [[nodiscard]] For wanted_to_read() const noexcept {
        return tls && (*tls)->wants_output() ? For::Output : For::Input;
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

    [[nodiscard]] const Endpoint& peer();
    [[nodiscard]] const Endpoint& local();

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

    // In an order without gaps: a hundred thousand idle connections hold one each.
    [[no_unique_address]] ConnectionAccount account{};
    bool output_ended = false;  ///< SHUT_WR is done
    bool drained = false;       ///< the last read left nothing in the kernel: the next has to wait
    Loop& loop;
    const TrafficCounter* traffic = &loop.traffic;
    std::unique_ptr<const Announced> announced{};  ///< where somebody has announced the client
    std::unique_ptr<ClientTls> tls{};              ///< of tls://
    /// No std::optional, which would be as long again.
    static constexpr auto no_operation_timeout = std::chrono::milliseconds::min();
    std::chrono::milliseconds operation_timeout = no_operation_timeout;  ///< that: --idle-timeout for each wait

    Buffer buffer{};  ///< lent while the last read's bytes are valid, or unread ones are left
    std::uint32_t unread_begin = 0;
    std::uint32_t unread_end = 0;

private:
    void give_up() override;
    [[nodiscard]] std::error_code canceled() noexcept;
    [[nodiscard]] std::chrono::milliseconds patience(Deadline& until) const;

    UniqueFd fd_;  ///< until it joins the reactor
    bool timed_out_ = false;
    bool canceled_ = false;
    bool cut_ = false;
    std::optional<boost::asio::generic::stream_protocol::socket> socket_{};
    const KeptAddress& address_;
    struct Ends {
        std::optional<Endpoint> peer{};  ///< once asked for
        std::optional<Endpoint> local{};
    };
    [[nodiscard]] Ends& ends();
    std::unique_ptr<Ends> ends_{};
};

}  // namespace preforkd
