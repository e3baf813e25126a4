#pragma once
// What a blocking stream handler sees of its client.
#include <chrono>
#include <concepts>
#include <cstddef>
#include <istream>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "preforkd/connection.hpp"

namespace preforkd {

struct BlockingCore;
class StreamBuffer;

/// What rfile and wfile are in Python, in one object: an input, and an output behind `<<`, put(), write() and flush().
///
/// Each has a state of its own: the end of the input, which a client causes by its half-close, does not keep the output
/// from being written.  That is why it is no std::iostream, in which both share one.  Where a std::istream is asked for
/// it is the input, where a std::ostream is, the output.
///
/// A client cannot make a line grow for ever: where more than --line-max bytes come without its end, reading it sets
/// badbit, a line of the log says so, and last_error() is std::errc::message_size. That is exact for getline() and for
/// `>>` into a std::string, below. What reads by way of a std::istream, such as std::getline() spelled so, a number, or
/// what copies rdbuf(), fails for a piece of input without a newline that is up to 8 KiB longer. Binary data is for
/// get() and read(), which know no limit.
class ClientStream final : public std::istream {
public:
    explicit ClientStream(StreamBuffer& buffer);

    [[nodiscard]] std::ostream& output() noexcept { return output_; }
    operator std::ostream&() noexcept { return output_; }

    template <class Value>
        requires requires(std::ostream& output, const Value& value) { output << value; }
    std::ostream& operator<<(const Value& value) { return output_ << value; }
    std::ostream& operator<<(std::ostream& (*manipulator)(std::ostream&)) { return output_ << manipulator; }
    std::ostream& put(char byte) { return output_.put(byte); }
    std::ostream& write(const char* text, std::streamsize size_bytes) { return output_.write(text, size_bytes); }
    std::ostream& flush() { return output_.flush(); }

    /// Whether either has failed.
    [[nodiscard]] bool bad() const { return std::istream::bad() || output_.bad(); }

private:
    friend ClientStream& getline(ClientStream& input, std::string& line, char delimiter);
    friend ClientStream& operator>>(ClientStream& input, std::string& word);

    StreamBuffer& buffer_;
    std::ostream output_;
};

/// As std::getline(), of at most --line-max bytes before `delimiter`; a longer line sets badbit, and what `line` holds
/// then is of no use. Found without `std::` before it: `while (getline(client.stream(), line))`.
ClientStream& getline(ClientStream& input, std::string& line, char delimiter = '\n');

/// The next word, as the standard's `>>` reads it, of at most --line-max bytes; a longer one sets badbit.
ClientStream& operator>>(ClientStream& input, std::string& word);

/// One accepted stream connection for code that blocks; see Connection for what the framework does.
///
/// input() and output() are what rfile and wfile are in Python.  Operations wait at most --idle-timeout, or timeout()
/// if set, and then fail with std::errc::timed_out; at a fast stop with std::errc::operation_canceled.  While one
/// waits, the worker counts as waiting for a client, not as hung, and still hears its master.
///
/// No signal of the daemon's interrupts a handler: sleep(), poll() and the like last as long as they are told to, and
/// SIGALRM, SIGIO and the real-time timers are the handler's own.  Its exceptions are preforkd-handler(3)'s to name.
class BlockingConnection {
public:
    explicit BlockingConnection(BlockingCore& core) noexcept : core_{core} {}
    BlockingConnection(const BlockingConnection&) = delete;
    BlockingConnection& operator=(const BlockingConnection&) = delete;

    [[nodiscard]] const Endpoint& peer() const;
    [[nodiscard]] const Endpoint& local() const;
    [[nodiscard]] const Announcement* announcement() const noexcept;

    /// What TLS has agreed on with the client; nullptr if it speaks none with this service.
    [[nodiscard]] const Tls* tls() const;

    /// The connection's descriptor, non-blocking; borrowed.  Throws std::logic_error if tls(), whose bytes are not to
    /// be had there.
    [[nodiscard]] int fd() const;

    /// Input and output with buffers; written to the client when flushed, when the buffer is full, before input is
    /// waited for, and after serve().  A failure sets badbit; last_error() says which.
    [[nodiscard]] std::istream& input() { return stream(); }
    [[nodiscard]] std::ostream& output() { return stream(); }
    [[nodiscard]] ClientStream& stream();  ///< both in one object

    /// The next bytes, at least one, as soon as there are any.  Do not mix with input().
    [[nodiscard]] Received read_some(std::size_t limit_bytes = std::size_t{16} * 1024);

    // As Connection's, of which each says more.  They and read_some() may be mixed, but not with input() either.
    [[nodiscard]] Received read_exactly(std::size_t size_bytes);
    [[nodiscard]] Received peek(std::size_t size_bytes = 1);
    [[nodiscard]] Received read_some(std::span<std::byte> space);
    [[nodiscard]] Received read_exactly(std::span<std::byte> space);
    [[nodiscard]] Received buffered() const noexcept;

    /// Sends what output() holds, then waits for the next request and takes nothing of it; see
    /// Connection::next_request(): `while (client.next_request())`.
    [[nodiscard]] bool next_request();

    /// Whether the worker has been told to leave: what it answers from now on may be the last answer of a connection.
    [[nodiscard]] bool draining() const noexcept;

    /// Writes all of `bytes`, behind what output() still holds, or reports why not.
    std::error_code write(std::span<const std::byte> bytes);
    template <std::convertible_to<std::string_view> Text>
    std::error_code write(const Text& text) {
        return write(std::as_bytes(std::span{std::string_view{text}}));
    }

    /// Writes them all as if they were one, `write({head, body})`: in one system call, and over TLS in one record, as
    /// far as they fit.
    std::error_code write(Parts parts);

    /// Writes all of `bytes` and ends our output: the client gets the last bytes and the end of the stream in one
    /// segment.  Reading goes on.
    std::error_code write_last(std::span<const std::byte> bytes);
    template <std::convertible_to<std::string_view> Text>
    std::error_code write_last(const Text& text) {
        return write_last(std::as_bytes(std::span{std::string_view{text}}));
    }
    std::error_code write_last(Parts parts);

    /// Ends our output; the client sees the end of the stream, and its input goes on.
    std::error_code half_close();

    /// How long each following operation waits; zero: for ever.
    void timeout(std::chrono::milliseconds patience) noexcept;

    /// How long a line that stream() or input() reads may be from now on, instead of --line-max; zero: as long as the
    /// client likes, which is as much memory as it likes.
    void line_max(std::size_t limit_bytes) noexcept;

    /// What the last operation that failed came to; clear while none has.
    [[nodiscard]] std::error_code last_error() const noexcept;

private:
    BlockingCore& core_;
};

}  // namespace preforkd
