#include "daemon/worker/program/tls_relay.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

#include "daemon/worker/loop/buffer_pool.hpp"

namespace preforkd {

namespace {

using Kind = TlsResult::Kind;

constexpr int pieces_a_turn = 8;  // then the worker's other clients have theirs

bool has_hung_up(int socket) noexcept {
    pollfd peer{.fd = socket, .events = 0, .revents = 0};
    return ::poll(&peer, 1, 0) == 1 && (peer.revents & (POLLHUP | POLLERR)) != 0;
}

}  // namespace

std::uint32_t TlsRelay::events_of(const TlsResult& result) noexcept {
    if (result.kind == Kind::WantsInput) return EPOLLIN;
    if (result.kind == Kind::WantsOutput) return EPOLLOUT;
    return 0;
}

void TlsRelay::act() {
    if (state_ == State::Handshaking) shake_hands();
    if (state_ != State::Relaying || !program_) return;
    for (int left = pieces_a_turn; left > 0 && state_ == State::Relaying; --left) {
        const bool in = take_from_client() == Moved::Some || give_to_program() == Moved::Some;
        if (state_ != State::Relaying) return;
        const bool out = take_from_program() == Moved::Some || give_to_client() == Moved::Some;
        if (!in && !out) break;
    }
    if (state_ == State::Relaying) conclude();
}

void TlsRelay::shake_hands() {
    const TlsResult result = tls_->handshake();
    reading_waits_for_ = events_of(result);
    if (result.kind == Kind::Done)
        state_ = State::Relaying;
    else if (result.kind == Kind::Failed)
        fail(result.error);
}

void TlsRelay::fail(const std::error_code& error) {
    if (state_ == State::Handshaking) {
        tls_.log_failure(stream_.address.to_endpoint(SOCK_STREAM), error);
        account_.failed(ConnectionOutcome::Handshake);
    } else {
        account_.failed(ConnectionOutcome::Error);
    }
    state_ = State::Over;
}

TlsRelay::Moved TlsRelay::take_from_client() {
    if (!to_program_.empty() || client_ended_) return Moved::Nothing;
    to_program_.bytes.resize(BufferPool::buffer_bytes);
    const TlsResult got = tls_->read(to_program_.bytes);
    reading_waits_for_ = events_of(got);
    to_program_.bytes.resize(got.bytes);
    to_program_.begin = 0;
    if (got.bytes == 0) to_program_.clear();
    account_.received(got.bytes);
    if (got.kind == Kind::Failed) fail(got.error);
    if (got.kind == Kind::End) client_ended_ = true;
    if (!program_takes_) to_program_.clear();  // as on TCP, where the kernel would hold it for nobody
    return got.kind == Kind::Done ? Moved::Some : Moved::Nothing;
}

TlsRelay::Moved TlsRelay::give_to_program() {
    if (to_program_.empty()) {
        if (client_ended_ && !std::exchange(said_client_ended_, true)) ::shutdown(program_.get(), SHUT_WR);
        return Moved::Nothing;
    }
    const auto rest = to_program_.rest();
    const ssize_t sent = ::send(program_.get(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == -1) {
        if (errno != EAGAIN && errno != EINTR) {
            program_takes_ = false;
            to_program_.clear();
        }
        return Moved::Nothing;
    }
    to_program_.begin += static_cast<std::size_t>(sent);
    if (to_program_.empty()) to_program_.clear();
    return Moved::Some;
}

TlsRelay::Moved TlsRelay::take_from_program() {
    if (!to_client_.empty() || program_ended_) return Moved::Nothing;
    to_client_.bytes.resize(BufferPool::buffer_bytes);
    to_client_.begin = 0;
    const ssize_t got = ::recv(program_.get(), to_client_.bytes.data(), to_client_.bytes.size(), MSG_DONTWAIT);
    if (got > 0) {
        to_client_.bytes.resize(static_cast<std::size_t>(got));
        return Moved::Some;
    }
    // A program that closes with something unread, ECONNRESET, has ended as well.
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) program_ended_ = true;
    to_client_.clear();
    return Moved::Nothing;
}

TlsRelay::Moved TlsRelay::give_to_client() {
    if (to_client_.empty()) return Moved::Nothing;
    const TlsResult sent = tls_->write(to_client_.rest());
    writing_waits_for_ = events_of(sent);
    if (sent.kind == Kind::Failed) {
        fail(sent.error);
        return Moved::Nothing;
    }
    account_.sent(sent.bytes);
    to_client_.begin += sent.bytes;
    if (to_client_.empty()) to_client_.clear();
    return sent.kind == Kind::Done ? Moved::Some : Moved::Nothing;
}

void TlsRelay::end_output() {
    const TlsResult ended = tls_->end_output();
    writing_waits_for_ = events_of(ended);
    if (ended.kind == Kind::Failed) return fail(ended.error);
    if (ended.kind != Kind::Done) return;
    ::shutdown(stream_.fd.get(), SHUT_WR);
    output_ended_ = true;
}

void TlsRelay::conclude() {
    if (program_ended_ && to_client_.empty() && !output_ended_) end_output();
    if (state_ == State::Over) return;
    const bool over = output_ended_ && (client_ended_ || !program_takes_ || has_hung_up(program_.get()));
    if (over || (hurried_ && program_ended_)) state_ = State::Over;
}

void TlsRelay::hurry() {
    hurried_ = true;
    account_.failed(ConnectionOutcome::Cut);
    if (program_ && !program_ended_) return;  // whose end is ordered
    state_ = State::Over;
}

std::optional<std::uint32_t> TlsRelay::wanted_of_client() const noexcept {
    if (state_ == State::Handshaking) return reading_waits_for_;
    if (!program_) return std::nullopt;
    std::uint32_t events = 0;
    if (to_program_.empty() && !client_ended_) events |= reading_waits_for_;
    // A turn may end with a piece that nothing has been tried with, which waits for the socket as any other.
    if (!to_client_.empty() || (program_ended_ && !output_ended_))
        events |= writing_waits_for_ != 0 ? writing_waits_for_ : std::uint32_t{EPOLLOUT};
    return events != 0 ? std::optional{events} : std::nullopt;
}

std::optional<std::uint32_t> TlsRelay::wanted_of_program() const noexcept {
    if (!program_ || state_ != State::Relaying) return std::nullopt;
    std::uint32_t events = 0;
    if (to_client_.empty() && !program_ended_) events |= EPOLLIN;
    // What TLS still holds wakes nobody; the program's socket, which is to take it, does.
    const bool held = to_program_.empty() && !client_ended_ && reading_waits_for_ == 0;
    if (!to_program_.empty() || held) events |= EPOLLOUT;
    return events != 0 || output_ended_ ? std::optional{events} : std::nullopt;  // none of them: until it hangs up
}

}  // namespace preforkd
