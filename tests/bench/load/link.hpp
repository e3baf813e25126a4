#pragma once
// A client's connection, with TLS where that is asked for: the same calls for both.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>
#include <utility>

#include "generator.hpp"

namespace load {

/// `--tls yes|no` of a generator.
inline Text tls_option() { return {.name = "tls", .fallback = "no", .choices = {"yes", "no"}}; }

class Link {
public:
    /// To 127.0.0.1:`port`; with TLS 1.3 it has shaken hands.  The server's certificate is not looked at.
    Link(std::size_t source, std::size_t port, bool tls) : fd_{connect_from(source, port)} {
        const timeval patience{.tv_sec = 10, .tv_usec = 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (!tls) return;
        const int on = 1;
        ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ssl_.reset(SSL_new(context()));
        SSL_set_fd(ssl_.get(), fd_);
        if (SSL_connect(ssl_.get()) != 1) fail("handshake", EPROTO);
    }
    Link(Link&& other) noexcept : fd_{std::exchange(other.fd_, -1)}, ssl_{std::move(other.ssl_)} {}
    Link& operator=(Link&&) = delete;
    ~Link() {
        if (fd_ >= 0) reset(fd_);
    }

    [[nodiscard]] int fd() const { return fd_; }

    /// From now on nothing waits.
    void stop_waiting() const { check(::fcntl(fd_, F_SETFL, O_NONBLOCK), "set O_NONBLOCK"); }

    /// What was sent of it; 0: nothing can be now.
    std::size_t send(const char* bytes, std::size_t size) {
        if (ssl_) return moved(SSL_write(ssl_.get(), bytes, static_cast<int>(size)), "send");
        const ssize_t sent = ::send(fd_, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) fail("send");
        return sent > 0 ? static_cast<std::size_t>(sent) : 0;
    }

    /// 0: nothing is there.  A server that ends is a failure.
    std::size_t receive(char* space, std::size_t size) {
        if (ssl_) return moved(SSL_read(ssl_.get(), space, static_cast<int>(size)), "the server closed a connection");
        const ssize_t got = ::recv(fd_, space, size, 0);
        if (got < 0 && errno == EAGAIN) return 0;
        if (got <= 0) fail("the server closed a connection", got < 0 ? errno : ECONNRESET);
        return static_cast<std::size_t>(got);
    }

    /// The server has ended in good order, and not a byte more has come.
    void expect_the_end(char* space, std::size_t size) {
        if (ssl_) {
            const int got = SSL_read(ssl_.get(), space, static_cast<int>(size));
            if (got > 0) fail("more came back than was sent", EPROTO);
            if (SSL_get_error(ssl_.get(), got) != SSL_ERROR_ZERO_RETURN) fail("an end without a close_notify", EPROTO);
            return;
        }
        const ssize_t got = ::recv(fd_, space, size, MSG_DONTWAIT);
        if (got < 0) fail("end of the stream");
        if (got > 0) fail("more came back than was sent", EPROTO);
    }

    /// Ours has ended; reading goes on.
    void end_output() {
        if (ssl_)
            SSL_shutdown(ssl_.get());
        else
            check(::shutdown(fd_, SHUT_WR), "shutdown");
    }

private:
    static SSL_CTX* context() {
        static SSL_CTX* const made = [] {
            SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
            SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
            SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
            return context;
        }();
        return made;
    }

    std::size_t moved(int bytes, const char* attempt) {
        if (bytes > 0) return static_cast<std::size_t>(bytes);
        const int error = SSL_get_error(ssl_.get(), bytes);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) fail(attempt, ECONNRESET);
        return 0;
    }

    struct Freed {
        void operator()(SSL* ssl) const { SSL_free(ssl); }
    };

    int fd_;
    std::unique_ptr<SSL, Freed> ssl_{};
};

}  // namespace load
