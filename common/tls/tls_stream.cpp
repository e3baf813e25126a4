#include "common/tls/tls_stream.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "common/tls/certificate.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr int most_messages_a_second = 100;  // as HAProxy bounds KeyUpdate

}  // namespace

/// The socket below OpenSSL.  Its own would raise SIGPIPE, and knows no MSG_MORE.
struct TlsStream::Socket {
    static int write(BIO* bio, const char* bytes, std::size_t size, std::size_t* written) {
        const auto& stream = *static_cast<const TlsStream*>(openssl().BIO_get_data(bio));
        ssize_t sent = 0;
        do sent = ::send(stream.fd_, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL | (stream.more_ ? MSG_MORE : 0));
        while (sent == -1 && errno == EINTR);
        return report(bio, sent, BIO_FLAGS_WRITE, *written);
    }

    static int read(BIO* bio, char* space, std::size_t size, std::size_t* got_bytes) {
        const auto& stream = *static_cast<const TlsStream*>(openssl().BIO_get_data(bio));
        ssize_t got = -1;
        errno = EPROTO;
        if (!stream.flooded_) do
                got = ::recv(stream.fd_, space, size, MSG_DONTWAIT);
            while (got == -1 && errno == EINTR);
        if (got == 0) openssl().BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
        return report(bio, got, BIO_FLAGS_READ, *got_bytes);
    }

    static long control(BIO* bio, int command, long, void*) {
        if (command == BIO_CTRL_EOF) return openssl().BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
        return command == BIO_CTRL_FLUSH ? 1 : 0;
    }

    [[nodiscard]] static const BIO_METHOD* method() {
        static const BIO_METHOD* const made = [] {
            BIO_METHOD* const socket = check_openssl(openssl().BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket"));
            openssl().BIO_meth_set_write_ex(socket, write);
            openssl().BIO_meth_set_read_ex(socket, read);
            openssl().BIO_meth_set_ctrl(socket, control);
            return socket;
        }();
        return made;
    }

private:
    /// As OpenSSL's own socket does: for a zero it would take a close_notify that found no space to be sent.
    static int report(BIO* bio, ssize_t moved, int direction, std::size_t& bytes) {
        openssl().BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
        bytes = moved > 0 ? static_cast<std::size_t>(moved) : 0;
        if (moved == -1 && errno == EAGAIN) openssl().BIO_set_flags(bio, direction | BIO_FLAGS_SHOULD_RETRY);
        return moved > 0 ? 1 : static_cast<int>(moved);
    }
};

TlsStream::TlsStream(SslPtr ssl, int fd) : ssl_{std::move(ssl)}, fd_{fd} {
    BIO* const socket = check_openssl(openssl().BIO_new(Socket::method()));
    openssl().BIO_set_data(socket, this);
    openssl().BIO_set_init(socket, 1);
    openssl().SSL_set_bio(ssl_.get(), socket, socket);  // takes it
    openssl().SSL_set_msg_callback(ssl_.get(), see_message);
    openssl().SSL_ctrl(ssl_.get(), SSL_CTRL_SET_MSG_CALLBACK_ARG, 0, this);
}

namespace {

SslPtr make_ssl(SSL_CTX* context) {
    openssl().ERR_clear_error();
    return SslPtr{check_openssl(openssl().SSL_new(context))};
}

}  // namespace

std::unique_ptr<TlsStream> TlsStream::accept(SSL_CTX* context, int fd) {
    SslPtr ssl = make_ssl(context);
    openssl().SSL_set_accept_state(ssl.get());
    return std::make_unique<TlsStream>(std::move(ssl), fd);
}

std::unique_ptr<TlsStream> TlsStream::connect(SSL_CTX* context, int fd) {
    SslPtr ssl = make_ssl(context);
    openssl().SSL_set_connect_state(ssl.get());
    return std::make_unique<TlsStream>(std::move(ssl), fd);
}

/// A KeyUpdate costs us more than it costs a client, and OpenSSL looks for what is behind it before it returns: who
/// sends nothing else would keep a worker to himself.
void TlsStream::see_message(int is_written, int, int type, const void* message, std::size_t, SSL*, void* stream) {
    auto& self = *static_cast<TlsStream*>(stream);
    if (type != SSL3_RT_HANDSHAKE) return;
    if (is_written != 0) {
        if (*static_cast<const unsigned char*>(message) == SSL3_MT_FINISHED) self.sent_finished_ = true;
        return;
    }
    if (!self.established_) return;
    const auto now = Clock::now();
    if (now - self.second_ >= 1s) {
        self.second_ = now;
        self.messages_ = 0;
    }
    if (++self.messages_ > most_messages_a_second) self.flooded_ = true;
}

/// errno is the last call's on the socket.
TlsResult TlsStream::result_of(int returned, std::size_t bytes, Call call) {
    if (returned > 0) return {.kind = TlsResult::Kind::Done, .bytes = bytes};
    const int system_error = errno;
    switch (openssl().SSL_get_error(ssl_.get(), returned)) {
        case SSL_ERROR_WANT_READ:
            if (call == Call::Read) read_wants_output_ = false;
            return {.kind = TlsResult::Kind::WantsInput};
        case SSL_ERROR_WANT_WRITE:
            if (call == Call::Read) read_wants_output_ = true;
            return {.kind = TlsResult::Kind::WantsOutput};
        case SSL_ERROR_ZERO_RETURN:
            // OpenSSL says so of whatever fails once the other side has ended its output.
            if (call == Call::Read) return {.kind = TlsResult::Kind::End};
            [[fallthrough]];
        case SSL_ERROR_SYSCALL: {
            openssl().ERR_clear_error();
            const int cause = system_error != 0 ? system_error : ECONNABORTED;
            return {.kind = TlsResult::Kind::Failed, .error = {cause, std::generic_category()}};
        }
        default: break;
    }
    const unsigned long code = openssl().ERR_peek_error();
    const bool cut_off = ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    const std::string reason = openssl_error();
    if (!cut_off) {
        failure_ = reason;
        failure_reason_ = ERR_GET_REASON(code);
    }
    return {.kind = TlsResult::Kind::Failed,
            .error = std::make_error_code(cut_off ? std::errc::connection_aborted : std::errc::protocol_error)};
}

// The queue of errors is the thread's, and SSL_get_error() looks into it.
TlsResult TlsStream::handshake() {
    openssl().ERR_clear_error();
    errno = 0;
    // Then come tickets, which no client waits for: they go with our first data, or before we wait for the client's.
    more_ = sent_finished_;
    const TlsResult result = result_of(openssl().SSL_do_handshake(ssl_.get()), 0);
    holds_tickets_ = more_;
    established_ = result.kind == TlsResult::Kind::Done;  // SSL_is_init_finished(3) says no during a KeyUpdate
    return result;
}

/// With it goes the acknowledgement that a client without TCP_NODELAY waits for before it sends more, which the kernel
/// would put off for 40 ms.
void TlsStream::send_what_is_held() const noexcept {
    const int none = 0;
    (void)::setsockopt(fd_, IPPROTO_TCP, TCP_CORK, &none, sizeof none);  // no other socket holds anything
}

TlsResult TlsStream::result_of_read(int returned, std::size_t bytes) {
    const TlsResult result = result_of(returned, bytes, Call::Read);
    if (result.kind == TlsResult::Kind::WantsInput && std::exchange(holds_tickets_, false)) send_what_is_held();
    return result;
}

TlsResult TlsStream::read(std::span<std::byte> space) {
    openssl().ERR_clear_error();
    errno = 0;
    std::size_t got = 0;
    const int returned = openssl().SSL_read_ex(ssl_.get(), space.data(), space.size(), &got);
    return result_of_read(returned, got);
}

TlsResult TlsStream::peek() {
    openssl().ERR_clear_error();
    errno = 0;
    std::byte first{};
    std::size_t got = 0;
    const int returned = openssl().SSL_peek_ex(ssl_.get(), &first, 1, &got);
    return result_of_read(returned, got);
}

TlsResult TlsStream::write(std::span<const std::byte> bytes, bool more) {
    if (output_ != Output::Open)
        return {.kind = TlsResult::Kind::Failed, .error = std::make_error_code(std::errc::broken_pipe)};
    openssl().ERR_clear_error();
    errno = 0;
    more_ = more;
    holds_tickets_ = false;
    std::size_t written = 0;
    const int returned = openssl().SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written);
    return result_of(returned, written);
}

TlsResult TlsStream::end_output() {
    if (output_ == Output::Ended) return {};
    output_ = Output::Ending;
    openssl().ERR_clear_error();
    errno = 0;
    more_ = true;  // for the FIN
    const int returned = openssl().SSL_shutdown(ssl_.get());
    const TlsResult result = returned == 0 ? TlsResult{} : result_of(returned, 0);  // 0: the other side's is to come
    if (result.kind == TlsResult::Kind::Done) output_ = Output::Ended;
    return result;
}

Tls TlsStream::facts() const {
    SSL* const ssl = ssl_.get();
    Tls facts{.version = openssl().SSL_get_version(ssl), .resumed = openssl().SSL_session_reused(ssl) == 1};
    if (const SSL_CIPHER* const cipher = openssl().SSL_get_current_cipher(ssl))
        facts.cipher = openssl().SSL_CIPHER_get_name(cipher);
    if (const char* const name = openssl().SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) facts.server_name = name;
    const unsigned char* alpn = nullptr;
    unsigned alpn_bytes = 0;
    openssl().SSL_get0_alpn_selected(ssl, &alpn, &alpn_bytes);
    facts.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_bytes);
    if (X509* const certificate = openssl().SSL_get0_peer_certificate(ssl)) {
        facts.certificate = describe_certificate(certificate);
        facts.verified = openssl().SSL_get_verify_result(ssl) == X509_V_OK;
    }
    return facts;
}

}  // namespace preforkd
