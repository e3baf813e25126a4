#pragma once
// What is behind a BlockingConnection.
#include <memory>
#include <optional>
#include <span>

#include "common/base/clock.hpp"
#include "common/base/unique_fd.hpp"
#include "common/net/socket_address.hpp"
#include "daemon/worker/loop/buffer_pool.hpp"
#include "daemon/worker/stream/client_tls.hpp"
#include "daemon/worker/stream/gathered.hpp"
#include "daemon/worker/stream/serve_here.hpp"
#include "daemon/worker/stream/stream_buffer.hpp"
#include "preforkd/blocking_connection.hpp"

namespace preforkd {

struct BlockingCore {
    enum class For { Input, Output };

    /// `accepted`: non-blocking; `from`: the client.
    BlockingCore(UniqueFd accepted, const SocketAddress& from, const ServeHere& how) noexcept
        : fd{std::move(accepted)},
          traffic{how.traffic},
          patience{how.idle_timeout},
          line_max_bytes{how.line_max_bytes},
          address_{from},
          how_{how},
          served_until_{how.request_timeout.count() == 0 ? Deadline{} : Clock::now() + how.request_timeout} {}
    BlockingCore(const BlockingCore&) = delete;
    BlockingCore& operator=(const BlockingCore&) = delete;

    /// Receives into `space` what there is, once there is something.
    [[nodiscard]] Received receive(std::span<std::byte> space);

    /// Sends all of `bytes`; `more`: the end of our output comes at once.
    std::error_code send(std::span<const std::byte> bytes, bool more = false);

    /// Sends all of them, which TLS makes records of as if they were one.
    std::error_code send(Gathered parts, bool more = false);

    /// `size_bytes` that are unread, and stay so; or why there are fewer.
    [[nodiscard]] Received fill(std::size_t size_bytes);

    /// Takes the first of what is unread.
    Received take_unread(std::size_t size_bytes) noexcept;
    [[nodiscard]] std::span<const std::byte> unread() const noexcept {
        return {read_buffer.get() + unread_begin, unread_end - unread_begin};
    }

    /// The handshake, as a client of `listener`, which speaks TLS; before anything else.  Whether it went well.
    [[nodiscard]] bool begin_tls(const Listener& listener);

    [[nodiscard]] bool next_request();
    [[nodiscard]] bool draining() const noexcept;
    [[nodiscard]] bool asks_whether_draining() noexcept {
        how_.stop.hear_without_waiting();
        return draining();
    }

    std::error_code flush();
    std::error_code end_output();

    /// Says so in the log.
    [[nodiscard]] std::error_code line_too_long();

    [[nodiscard]] const Endpoint& peer();
    [[nodiscard]] const Endpoint& local();

    UniqueFd fd;
    TrafficCounter traffic;
    ConnectionAccount account{};
    std::unique_ptr<const Announced> announced{};  ///< where somebody has announced the client
    std::unique_ptr<ClientTls> tls{};              ///< of tls://
    std::chrono::milliseconds patience;
    std::size_t line_max_bytes;  ///< zero: any length
    std::error_code last_error{};
    bool timed_out = false;
    bool was_canceled = false;  ///< its handler was told to leave it, perhaps half done
    bool output_ended = false;  ///< SHUT_WR is done
    Buffer read_buffer{};
    std::size_t unread_begin = 0;
    std::size_t unread_end = 0;
    std::optional<StreamBuffer> buffer{};
    std::optional<ClientStream> stream{};

private:
    [[nodiscard]] std::error_code wait(For what);
    enum class Until { Ready, Drain };  ///< what ends a wait, beside its limit and a fast stop
    [[nodiscard]] std::error_code wait_until(Deadline limit, For what, Until end = Until::Ready);
    template <class Call>
    [[nodiscard]] TlsResult finish_tls(const Call& call, Deadline limit = {});
    [[nodiscard]] Received receive_tls(std::span<std::byte> space);
    /// `send_some` gives what send(2) of `rest` has given.
    template <class Rest, class SendSome>
    [[nodiscard]] std::error_code send_all(Rest rest, SendSome send_some);
    [[nodiscard]] std::error_code send_tls(std::span<const std::byte> bytes, bool more);
    [[nodiscard]] std::error_code send_tls(Gathered parts, bool more);
    [[nodiscard]] std::error_code send_record(std::span<const std::byte> bytes, bool more, std::size_t& sent_bytes);
    [[nodiscard]] std::error_code end_tls();
    [[nodiscard]] std::error_code cut_when_late();
    [[nodiscard]] std::error_code canceled() noexcept;
    [[nodiscard]] std::error_code poll_until(Deadline limit, For what, Until end);

    /// Whether a request has begun to come; unset: not yet, and what to wait for.
    struct Look {
        std::optional<bool> comes{};
        For missing = For::Input;
    };
    [[nodiscard]] Look look_for_request();

    struct IdleWait {
        explicit IdleWait(StopWatch& its_stop) : stop{its_stop} { stop.begin_idle_wait(); }
        ~IdleWait() { stop.end_idle_wait(); }
        IdleWait(const IdleWait&) = delete;
        IdleWait& operator=(const IdleWait&) = delete;
        StopWatch& stop;
    };

    [[nodiscard]] std::error_code failed(std::error_code error) noexcept {
        account.failed(ConnectionOutcome::Error);
        return last_error = error;
    }

    SocketAddress address_;
    const ServeHere& how_;
    Deadline served_until_;  ///< --request-timeout; then whatever comes fails
    bool cut_ = false;
    bool has_waited_ = false;
    std::optional<Endpoint> peer_{};
    std::optional<Endpoint> local_{};
};

}  // namespace preforkd
