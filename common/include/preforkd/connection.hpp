#pragma once
// What a stream handler sees of its client.
#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <span>
#include <string_view>
#include <system_error>

#include "preforkd/endpoint.hpp"

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
};

/// One accepted stream connection, TCP or Unix: handlers do not ask which.
///
/// The framework owns it: it logs, counts, and closes it properly (SHUT_WR, a short drain, close) after serve()
/// returns.  Each operation first asks the kernel and joins the reactor only when it would block; an idle connection
/// holds no buffer.  Every wait for the client ends after --idle-timeout with std::errc::timed_out, and at a fast stop
/// with std::errc::operation_canceled.  Not for use from another thread.
class Connection {
public:
    explicit Connection(ConnectionCore& core) noexcept : core_{core} {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// The client's address; of a Unix client without one, the empty path.  Valid as long as the connection.
    [[nodiscard]] const Endpoint& peer() const;

    /// The address the client connected to.  Valid as long as the connection.
    [[nodiscard]] const Endpoint& local() const;

    /// The next bytes, at least one and at most `limit_bytes`, as soon as there are any.
    /// A client's half-close is the end of its input only: writing goes on.
    [[nodiscard]] awaitable<Received> read_some(std::size_t limit_bytes = std::size_t{16} * 1024);

    /// Writes all of `bytes` or reports why not.  `bytes` must live until it returns.
    [[nodiscard]] awaitable<std::error_code> write(std::span<const std::byte> bytes);
    [[nodiscard]] awaitable<std::error_code> write(std::string_view text);

    /// Writes all of `bytes` and ends our output: the client gets the last bytes and the end of the stream in one
    /// segment, which costs both sides one wake-up less than write() and a close.  Reading goes on.
    [[nodiscard]] awaitable<std::error_code> write_last(std::span<const std::byte> bytes);
    [[nodiscard]] awaitable<std::error_code> write_last(std::string_view text);

    /// Ends our output; the client sees the end of the stream.  Reading goes on.
    std::error_code half_close();

private:
    ConnectionCore& core_;
};

}  // namespace preforkd
