#pragma once
// What a blocking stream handler sees of its client.
#include <chrono>
#include <istream>
#include <span>
#include <string_view>
#include <system_error>

#include "preforkd/connection.hpp"

namespace preforkd {

struct BlockingCore;

/// One accepted stream connection for code that blocks; see Connection for what the framework does.
///
/// stream() is what rfile and wfile are in Python.  Operations wait at most --idle-timeout, or timeout() if set, and
/// then fail with std::errc::timed_out; at a fast stop with std::errc::operation_canceled.  While one waits, the worker
/// counts as waiting for a client, not as hung, and still hears its master.
class BlockingConnection {
public:
    explicit BlockingConnection(BlockingCore& core) noexcept : core_{core} {}
    BlockingConnection(const BlockingConnection&) = delete;
    BlockingConnection& operator=(const BlockingConnection&) = delete;

    [[nodiscard]] const Endpoint& peer() const;
    [[nodiscard]] const Endpoint& local() const;

    /// The connection's descriptor, non-blocking; borrowed.
    [[nodiscard]] int fd() const noexcept;

    /// Input and output with buffers; written to the client when flushed, when the buffer is full, before input is
    /// waited for, and after serve().  A failure sets badbit; last_error() says which.
    [[nodiscard]] std::iostream& stream();

    /// The next bytes, at least one, as soon as there are any.  Do not mix with stream()'s input.
    [[nodiscard]] Received read_some(std::size_t limit_bytes = std::size_t{16} * 1024);

    /// Writes all of `bytes`, behind what stream() still holds, or reports why not.
    std::error_code write(std::span<const std::byte> bytes);
    std::error_code write(std::string_view text);

    /// Writes all of `bytes` and ends our output: the client gets the last bytes and the end of the stream in one
    /// segment.  Reading goes on.
    std::error_code write_last(std::span<const std::byte> bytes);
    std::error_code write_last(std::string_view text);

    /// Ends our output; the client sees the end of the stream, and its input goes on.
    std::error_code half_close();

    /// How long each following operation waits; zero: for ever.
    void timeout(std::chrono::milliseconds patience) noexcept;

    /// What the last operation that failed came to; clear while none has.
    [[nodiscard]] std::error_code last_error() const noexcept;

private:
    BlockingCore& core_;
};

}  // namespace preforkd
