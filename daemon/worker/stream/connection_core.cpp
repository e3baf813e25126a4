#include "daemon/worker/stream/connection_core.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

#include "common/base/sys_error.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace asio = boost::asio;

/// How long this wait may last; at least a moment, because zero would be for ever.
std::chrono::milliseconds ConnectionCore::patience(Deadline& until) const {
    using namespace std::chrono_literals;
    if (operation_timeout == no_operation_timeout) return loop.idle_timeout;
    if (operation_timeout == 0ms) return 0ms;
    const auto now = Clock::now();
    if (!until) until = now + operation_timeout;
    return std::max(1ms, std::chrono::ceil<std::chrono::milliseconds>(*until - now));
}

std::error_code ConnectionCore::canceled() noexcept {
    canceled_ = true;
    account.failed(ConnectionOutcome::Cut);
    return std::make_error_code(std::errc::operation_canceled);
}

std::error_code ConnectionCore::begin_wait(Waiting& wait, SocketEvent what, Deadline& until) {
    loop.before_wait();
    if (loop.waits.canceled()) return canceled();
    join_reactor(what);
    loop.waits.add(wait, patience(until));
    loop.out_of_handler();
    return no_error;
}

std::error_code ConnectionCore::begin_idle_wait(Deadline& until) {
    loop.before_idle_wait();
    // Only now is it sure to be heard of, so that it may have been missed.
    if (loop.is_draining()) return std::make_error_code(std::errc::operation_canceled);
    if (const auto error = begin_wait(Side::Reading, For::Input, until)) return error;
    loop.waits.until_drain(*this);
    return no_error;
}

std::error_code ConnectionCore::end_wait(Side side, For what) {
    loop.in_handler();
    if (what != For::Turn) {
        Waiting& wait = waiting(side);
        loop.waits.remove(wait);
        if (cut_) return why_cut();
        switch (wait.outcome()) {
            case Outcome::TimedOut:
                timed_out_ = true;
                account.failed(ConnectionOutcome::IdleTimeout);
                return std::make_error_code(std::errc::timed_out);
            case Outcome::Canceled: return canceled();
            case Outcome::Drained: return std::make_error_code(std::errc::operation_canceled);
            case Outcome::Pending: break;
        }
    }
    if (!withdrawn(side)) return no_error;
    half_written |= side == Side::Writing;
    return std::make_error_code(std::errc::operation_canceled);
}

void ConnectionCore::Wait::start(SocketWaiter& waiter, asio::cancellation_slot canceling) const {
    if (canceling.is_connected()) [[unlikely]]
        canceling.assign([&owner = core, its_side = side](asio::cancellation_type_t) { owner.withdraw(its_side); });
    if (what == For::Turn) [[unlikely]]
        return SocketWatches::end_soon(core.loop.reactor.context, waiter);
    core.wait_on_socket(side, event_of(what), waiter);
}

awaitable<std::error_code> ConnectionCore::wait(Side side, For what, Deadline& until) {
    if (const auto error = begin_wait(side, what, until)) co_return error;
    Wait wait{*this, side, what};
    co_await wait.ended();
    co_return end_wait(side, what);
}

ConnectionCore::Sent ConnectionCore::send_now(std::span<const iovec> parts, int flags) {
    if (tls) return send_record(parts, flags == MSG_MORE);
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    ssize_t taken = 0;
    do taken = ::sendmsg(fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
    while (taken == -1 && errno == EINTR);
    if (taken == -1 && errno == EAGAIN) return {.waits_for = For::Output};
    if (taken == -1) return {.error = broken(errno)};
    sent(static_cast<std::size_t>(taken));
    return {.bytes = static_cast<std::size_t>(taken)};
}

ConnectionCore::WhenWritable::WhenWritable(ConnectionCore& home, void (*what)(ConnectionCore&)) noexcept
    : SocketWaiter{[](SocketWaiter& self, bool goes_on) {
          auto& waiter = static_cast<WhenWritable&>(self);
          if (goes_on) waiter.then(waiter.core);
      }},
      core{home},
      then{what} {}

void ConnectionCore::when_writable(void (*then)(ConnectionCore&)) {
    join_reactor(SocketEvent::Output);
    watch_->wait(Side::Ending, SocketEvent::Output, seldom().when_writable.emplace(*this, then));
}

void ConnectionCore::cut() {
    log(LogLevel::Notice, "{peer} took longer than --request-timeout: cutting it off", {{"peer", address_of(peer())}});
    account.failed(ConnectionOutcome::RequestTimeout);
    cut_ = true;
    ::shutdown(fd(), SHUT_RDWR);  // also for a handler that waits on the socket by itself; ends a wait of ours, too
}

asio::generic::stream_protocol::socket& ConnectionCore::asio_socket() {
    auto& socket = seldom().socket;
    if (socket) return *socket;
    // A descriptor of its own: in an epoll set each has one registration, and `watch_` is that of the first.
    UniqueFd second{check(::fcntl(fd(), F_DUPFD_CLOEXEC, 0), "copy a descriptor")};
    const asio::generic::stream_protocol protocol{SocketAddress::local_of(fd()).family(), 0};
    socket.emplace(loop.reactor.context, protocol, second.get());
    (void)second.release();  // only now that the socket has it: emplace may throw
    return *socket;
}

UniqueFd ConnectionCore::release() {
    watch_.reset();
    if (seldom_) seldom_->socket.reset();
    return std::move(fd_);
}

const Endpoint& ConnectionCore::peer() {
    std::optional<Endpoint>& peer = seldom().peer;
    if (!peer) peer = address_.get().to_endpoint(SOCK_STREAM);
    return *peer;
}

const Endpoint& ConnectionCore::local() {
    std::optional<Endpoint>& local = seldom().local;
    if (!local)
        local = (announced() != nullptr ? announced()->local : SocketAddress::local_of(fd())).to_endpoint(SOCK_STREAM);
    return *local;
}

}  // namespace preforkd
