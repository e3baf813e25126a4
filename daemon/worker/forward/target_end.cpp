#include "daemon/worker/forward/target_end.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "common/base/sys_error.hpp"

namespace preforkd {

using Kind = TlsResult::Kind;

namespace {

TargetEnd::For what_is_wanted(const TlsResult& result) noexcept {
    return result.kind == Kind::WantsOutput ? TargetEnd::For::Output : TargetEnd::For::Input;
}

}  // namespace

std::error_code TargetEnd::begin_connect(const SocketAddress& address) {
    tls_.reset();
    drained_ = false;
    canceled_ = false;
    UniqueFd fd{check(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "open a socket")};
    if (address.family() != AF_UNIX) {
        const int yes = 1;
        check(::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "TCP_NODELAY");
    }
    int connected = 0;
    do connected = ::connect(fd.get(), address.data(), address.size());
    while (connected == -1 && errno == EINTR);
    const int error = connected == 0 ? 0 : errno;
    if (error != 0 && error != EINPROGRESS) return error_of(error);
    watch_.reset();  // of the socket before, which is there until now
    fd_ = std::move(fd);
    watch_ = loop_.reactor.sockets().watch(fd_.get());
    watch_->enter(SocketEvent::Output);
    return error_of(error);
}

std::error_code TargetEnd::end_connect() {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &size) == -1) error = errno;
    return error_of(error);
}

std::string TargetEnd::distrust(const std::error_code& error) const {
    if (const long verdict = openssl().SSL_get_verify_result(tls_->ssl()); verdict != X509_V_OK)
        return std::string{"its certificate is not believed: "} + openssl().X509_verify_cert_error_string(verdict) +
               " (to-ca= says whom to believe, to-name= what it has to be for)";
    return "the TLS handshake failed: " + (tls_->failure().empty() ? error.message() : tls_->failure());
}

TargetEnd::Arrived TargetEnd::receive_now(std::span<std::byte> space) {
    if (std::exchange(drained_, false)) return {};  // the wait sees what has come since
    if (tls_) {
        const TlsResult got = tls_->read(space);
        switch (got.kind) {
            case Kind::Done: drained_ = !tls_->has_pending(); return {.kind = Arrived::Kind::Bytes, .bytes = got.bytes};
            case Kind::WantsInput:
            case Kind::WantsOutput: return {};
            case Kind::End: return {.kind = Arrived::Kind::End};
            case Kind::Failed: return {.kind = Arrived::Kind::Failed, .error = got.error.value()};
        }
    }
    ssize_t got = 0;
    do got = ::recv(fd(), space.data(), space.size(), MSG_DONTWAIT);
    while (got == -1 && errno == EINTR);
    if (got > 0) {
        drained_ = static_cast<std::size_t>(got) < space.size();
        return {.kind = Arrived::Kind::Bytes, .bytes = static_cast<std::size_t>(got)};
    }
    if (got == 0) return {.kind = Arrived::Kind::End};
    if (errno == EAGAIN) return {};
    return {.kind = Arrived::Kind::Failed, .error = errno};
}

TargetEnd::Sent TargetEnd::send_now(std::span<const std::byte> bytes) {
    if (tls_) {
        const TlsResult sent = tls_->write(bytes);
        if (sent.kind == Kind::Done) return {.bytes = sent.bytes};
        if (sent.kind == Kind::Failed || sent.kind == Kind::End) return {.error = sent.error.value()};
        return {.waits_for = what_is_wanted(sent)};
    }
    ssize_t sent = 0;
    do sent = ::send(fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent == -1 && errno == EINTR);
    if (sent >= 0) return {.bytes = static_cast<std::size_t>(sent)};
    if (errno == EAGAIN) return {.waits_for = For::Output};
    return {.error = errno};
}

awaitable<std::error_code> TargetEnd::wait(Side side, For what) {
    loop_.out_of_handler();
    Wait wait{*watch_, side, ConnectionCore::event_of(what)};
    if (!canceled_) co_await wait.ended();
    loop_.in_handler();
    co_return error_of(canceled_ ? ECANCELED : 0);
}

awaitable<void> TargetEnd::end_output() {
    while (tls_) {
        const TlsResult ended = tls_->end_output();
        if (ended.kind == Kind::Done) break;
        if (ended.kind == Kind::Failed || ended.kind == Kind::End) co_return;
        const auto error = co_await wait(Side::Writing, what_is_wanted(ended));
        if (error) co_return;
    }
    ::shutdown(fd(), SHUT_WR);
}

void TargetEnd::cancel() noexcept {
    canceled_ = true;
    if (!watch_) return;
    for (const Side side : {Side::Reading, Side::Writing}) watch_->end(side);
}

}  // namespace preforkd
