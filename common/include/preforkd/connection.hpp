#pragma once
// What a stream handler sees of its client.
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>
#include <system_error>

#include "preforkd/announcement.hpp"
#include "preforkd/coroutine_frame.hpp"
#include "preforkd/endpoint.hpp"
#include "preforkd/parts.hpp"
#include "preforkd/tls.hpp"

namespace preforkd {

using boost::asio::awaitable;

struct ConnectionCore;

/// What a read came to.  A closed peer is an outcome, not an exception: loops end on `if (!chunk)`.
struct Received {
    std::span<const std::byte> bytes{};  ///< valid until the next read on this connection; empty at the end
    std::error_code error{};             ///< why there is none; clear at an orderly end of the stream
    explicit operator bool() const noexcept { return !bytes.empty(); }
    [[nodiscard]] std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }

    /// text() without the line end, `\n` or `\r\n`, that it may have.
    [[nodiscard]] std::string_view line() const noexcept {
        std::string_view line = text();
        if (line.ends_with('\n')) line.remove_suffix(1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        return line;
    }
};

/// One accepted stream connection, TCP or Unix: handlers do not ask which.
///
/// The framework owns it: it logs, counts, and closes it properly (SHUT_WR, a short drain, close) after serve()
/// returns.  Each operation first asks the kernel and joins the reactor only when it would block; an idle connection
/// holds no buffer.  Every wait for the client ends after --idle-timeout with std::errc::timed_out, and at a fast stop
/// with std::errc::operation_canceled.  One read and one write may wait at once, each for itself, in two coroutines
/// that have ended before serve() returns.  Not for use from another thread.
///
/// Each wait honours Asio's cancellation, so that `co_await (client.read_some() || timer.async_wait(use_awaitable))`
/// ends with whichever is first: std::errc::operation_canceled.  A canceled read has taken nothing, and the next one
/// gets it.  A canceled write may have sent a part, behind which nothing makes sense: each write that follows, and
/// half_close(), fails in the same way.
class Connection {
public:
    explicit Connection(ConnectionCore& core) noexcept : core_{core} {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// The client's address; of a Unix client without one, the empty path.  Valid as long as the connection.
    [[nodiscard]] const Endpoint& peer() const;

    /// The address the client connected to.  Valid as long as the connection.
    [[nodiscard]] const Endpoint& local() const;

    /// What a balancer has said of the client, whose peer() and local() are then as it has said; nullptr: nobody has.
    /// Valid as long as the connection.
    [[nodiscard]] const Announcement* announcement() const noexcept;

    /// What TLS has agreed on with the client; nullptr if it speaks none with this service.  Valid as long as the
    /// connection.
    [[nodiscard]] const Tls* tls() const;

    /// The next bytes, at least one and at most `limit_bytes`, as soon as there are any.
    /// A client's half-close is the end of its input only: writing goes on.
    [[nodiscard]] awaitable<Received> read_some(std::size_t limit_bytes = longest_read_bytes);

    /// Exactly `size_bytes`, at most longest_read_bytes; what the client sent beyond them is kept for the next read.
    /// Where the stream ends before the first of them, none; where it ends, or something fails, between them, none and
    /// an error (of the end, std::errc::connection_aborted), and those that came are kept.  Of more than
    /// longest_read_bytes, none, std::errc::message_size and a line in the log.
    [[nodiscard]] awaitable<Received> read_exactly(std::size_t size_bytes);

    /// The same, but all of it is kept for the next read.
    [[nodiscard]] awaitable<Received> peek(std::size_t size_bytes = 1);

    // Into `space`, of any size, without a copy in between; Received::bytes is what of it was filled.  Those that
    // read_exactly() has put there are lost where it fails.
    [[nodiscard]] awaitable<Received> read_some(std::span<std::byte> space);
    [[nodiscard]] awaitable<Received> read_exactly(std::span<std::byte> space);

    /// What has been received and is kept for the next read; none is no end of the stream.  Valid until that.
    [[nodiscard]] Received buffered() const noexcept;

    /// Everything up to and with `delimiter` (not empty); what the client sent beyond it is kept for the next read.
    /// At the end of the stream what is left, without a delimiter.  If `limit_bytes` (at most longest_read_bytes) do
    /// not hold one, no bytes, std::errc::message_size and a line in the log: the connection is then of no more use.
    [[nodiscard]] awaitable<Received> read_until(std::string_view delimiter,
                                                 std::size_t limit_bytes = longest_read_bytes);

    /// The next line, with its line end, as Python's readline() gives it; see read_until(), and Received::line().
    [[nodiscard]] awaitable<Received> read_line(std::size_t limit_bytes = longest_read_bytes);

    /// Waits for the next request and takes nothing of it: true once there is something to read.  False where nothing
    /// more will come, or the wait failed; and at once when the worker has been told to leave, if the client has sent
    /// nothing by then.  So an idle client does not hold up a stop, a reload or an upgrade, and a request that has
    /// begun is served to its end:
    ///
    ///     while (co_await client.next_request()) {
    ///         const auto line = co_await client.read_line();
    [[nodiscard]] awaitable<bool> next_request();

    /// Whether the worker has been told to leave: what it answers from now on may be the last answer of a connection.
    [[nodiscard]] bool draining() const noexcept;

    /// Writes all of `bytes` or reports why not.  `bytes` must live until it returns.
    [[nodiscard]] awaitable<std::error_code> write(std::span<const std::byte> bytes);
    template <std::convertible_to<std::string_view> Text>
    [[nodiscard]] awaitable<std::error_code> write(const Text& text) {
        return write(std::as_bytes(std::span{std::string_view{text}}));
    }

    /// Writes them all as if they were one, `write({head, body})`: in one system call, and over TLS in one record, as
    /// far as they fit.  What they refer to must live until it returns.
    [[nodiscard]] awaitable<std::error_code> write(Parts parts);

    /// Writes all of `bytes` and ends our output: the client gets the last bytes and the end of the stream in one
    /// segment, which costs both sides one wake-up less than write() and a close.  Reading goes on.
    [[nodiscard]] awaitable<std::error_code> write_last(std::span<const std::byte> bytes);
    template <std::convertible_to<std::string_view> Text>
    [[nodiscard]] awaitable<std::error_code> write_last(const Text& text) {
        return write_last(std::as_bytes(std::span{std::string_view{text}}));
    }
    [[nodiscard]] awaitable<std::error_code> write_last(Parts parts);

    /// From now on each operation as a whole ends by then with std::errc::timed_out, however the client dribbles; zero:
    /// never.  Until it is called, each wait for the client lasts at most --idle-timeout.
    void timeout(std::chrono::milliseconds patience) noexcept;

    /// Ends our output; the client sees the end of the stream.  Reading goes on.
    std::error_code half_close();

    static constexpr std::size_t longest_read_bytes = std::size_t{16} * 1024;

private:
    friend struct ConnectionCore;
    ConnectionCore& core_;
};

}  // namespace preforkd
