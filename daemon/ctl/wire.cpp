#include "daemon/ctl/wire.hpp"

#include <sys/socket.h>

#include <cerrno>

namespace preforkd {
namespace {

TlsResult result_of(ssize_t moved, TlsResult::Kind if_it_would_block) {
    if (moved >= 0) return {.bytes = static_cast<std::size_t>(moved)};
    if (errno == EAGAIN || errno == EINTR) return {.kind = if_it_would_block};
    return {.kind = TlsResult::Kind::Failed, .error = {errno, std::generic_category()}};
}

}  // namespace

TlsResult Wire::read(std::span<char> space) {
    if (tls_) return tls_->read(std::as_writable_bytes(space));
    const ssize_t got = ::recv(fd(), space.data(), space.size(), 0);
    return got == 0 ? TlsResult{.kind = TlsResult::Kind::End} : result_of(got, TlsResult::Kind::WantsInput);
}

TlsResult Wire::write(std::string_view text) {
    if (tls_) return tls_->write(std::as_bytes(std::span{text}));
    return result_of(::send(fd(), text.data(), text.size(), MSG_NOSIGNAL), TlsResult::Kind::WantsOutput);
}

TlsResult Wire::end_output() {
    const TlsResult ended = tls_ ? tls_->end_output() : TlsResult{};
    if (ended.kind != TlsResult::Kind::WantsOutput) ::shutdown(fd(), SHUT_WR);
    return ended;
}

}  // namespace preforkd
