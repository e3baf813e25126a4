#pragma once
// One TLS connection over a non-blocking socket.
//
// It knows no loop: each call does what it can, and says what to wait for.  OpenSSL works on the socket itself, without
// a buffer of ours between, which makes 15 KiB for an idle connection instead of 70.
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <system_error>

#include "common/base/clock.hpp"
#include "common/tls/openssl.hpp"
#include "preforkd/tls.hpp"

namespace preforkd {

/// What a call came to.
struct TlsResult {
    enum class Kind {
        Done,
        WantsInput,   ///< call again, with the same bytes, when the socket is readable
        WantsOutput,  ///< likewise, when it is writable
        End,          ///< of a read: the other side has ended its output in good order
        Failed,
    };
    Kind kind = Kind::Done;
    std::size_t bytes = 0;    ///< Done: that were read or written
    std::error_code error{};  ///< Failed: connection_aborted, the stream was cut off; protocol_error; or a system error
};

class TlsStream {
public:
    /// The server's end on the socket `fd`, which is borrowed.  Throws std::runtime_error for want of memory.
    [[nodiscard]] static std::unique_ptr<TlsStream> accept(SSL_CTX* context, int fd);

    /// Likewise the client's end.
    [[nodiscard]] static std::unique_ptr<TlsStream> connect(SSL_CTX* context, int fd);

    TlsStream(SslPtr ssl, int fd);
    TlsStream(const TlsStream&) = delete;
    TlsStream& operator=(const TlsStream&) = delete;

    [[nodiscard]] TlsResult handshake();
    [[nodiscard]] TlsResult read(std::span<std::byte> space);
    /// As read(), of a byte that stays for it.
    [[nodiscard]] TlsResult peek();
    /// `more`: what comes next is sent at once, so that this need not be.
    [[nodiscard]] TlsResult write(std::span<const std::byte> bytes, bool more = false);

    /// Ends our output by a close_notify; reading goes on.  Once done, calling it again does nothing.
    [[nodiscard]] TlsResult end_output();
    enum class Output { Open, Ending, Ended };
    [[nodiscard]] Output output() const noexcept { return output_; }

    /// What the last read() but a Done one has to wait for, whatever was written since.
    [[nodiscard]] bool read_wants_output() const noexcept { return read_wants_output_; }

    /// Whether bytes have been taken from the socket that read() has not given out: no poll(2) tells of them.
    [[nodiscard]] bool has_pending() const noexcept { return openssl().SSL_has_pending(ssl_.get()) == 1; }

    /// Why the handshake has failed, in OpenSSL's words; empty: the connection broke.
    [[nodiscard]] const std::string& failure() const noexcept { return failure_; }
    /// The same as a number of OpenSSL's, SSL_R_...; 0: the connection broke.
    [[nodiscard]] int failure_reason() const noexcept { return failure_reason_; }

    /// What the two have agreed on.
    [[nodiscard]] Tls facts() const;

    [[nodiscard]] SSL* ssl() const noexcept { return ssl_.get(); }

private:
    struct Socket;

    enum class Call { Read, Other };
    [[nodiscard]] TlsResult result_of_read(int returned, std::size_t bytes);
    [[nodiscard]] TlsResult result_of(int returned, std::size_t bytes, Call call = Call::Other);
    void send_what_is_held() const noexcept;
    static void see_message(int is_written, int version, int type, const void* bytes, std::size_t size, SSL* ssl,
                            void* stream);

    SslPtr ssl_;
    int fd_;
    Output output_ = Output::Open;
    bool read_wants_output_ = false;
    bool more_ = false;           ///< send with MSG_MORE
    bool sent_finished_ = false;  ///< the handshake's last message of ours
    bool holds_tickets_ = false;  ///< they may be in the socket still
    bool established_ = false;    ///< the handshake is over
    bool flooded_ = false;        ///< by handshake messages: whatever comes now fails
    int messages_ = 0;            ///< of the handshake's kind, behind the handshake, in this second
    Clock::time_point second_{};
    std::string failure_{};
    int failure_reason_ = 0;
};

}  // namespace preforkd
