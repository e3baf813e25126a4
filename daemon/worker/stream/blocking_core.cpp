#include "daemon/worker/stream/blocking_core.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "common/net/error_queue.hpp"
#include "daemon/worker/stream/long_read.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

std::error_code error_now() noexcept { return {errno, std::generic_category()}; }

int flags_of_send(bool more) noexcept { return MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0); }

void drop(std::span<const std::byte>& rest, std::size_t sent) noexcept { rest = rest.subspan(sent); }
void drop(Gathered& rest, std::size_t sent) noexcept { rest.drop(sent); }

int milliseconds_left(Deadline limit) noexcept {
    using namespace std::chrono;
    if (!limit) return -1;
    const auto left = ceil<milliseconds>(*limit - Clock::now()).count();
    return static_cast<int>(std::clamp<milliseconds::rep>(left, 0, std::numeric_limits<int>::max()));
}

}  // namespace

Received BlockingCore::receive(std::span<std::byte> space) {
    if (tls) return receive_tls(space);
    for (;;) {
        if (const auto late = cut_when_late()) return {.error = failed(late)};
        const ssize_t got = ::recv(fd.get(), space.data(), space.size(), MSG_DONTWAIT);
        if (got > 0) {
            traffic.received(static_cast<std::size_t>(got));
            account.received(static_cast<std::size_t>(got));
            return {.bytes = space.first(static_cast<std::size_t>(got))};
        }
        if (got == 0) return {};
        const std::error_code error = error_now();
        if (error == std::errc::interrupted) continue;
        if (error != std::errc::resource_unavailable_try_again) return {.error = failed(error)};
        if (const auto vain = wait(For::Input)) return {.error = failed(vain)};
    }
}

template <class Rest, class SendSome>
std::error_code BlockingCore::send_all(Rest rest, SendSome send_some) {
    while (!rest.empty()) {
        if (const auto late = cut_when_late()) return failed(late);
        const ssize_t sent = send_some(rest);
        if (sent >= 0) {
            traffic.sent(static_cast<std::size_t>(sent));
            account.sent(static_cast<std::size_t>(sent));
            drop(rest, static_cast<std::size_t>(sent));
            continue;
        }
        const std::error_code error = error_now();
        if (error == std::errc::interrupted) continue;
        if (error != std::errc::resource_unavailable_try_again) return failed(error);
        if (const auto vain = wait(For::Output)) return failed(vain);
    }
    return {};
}

std::error_code BlockingCore::send(std::span<const std::byte> bytes, bool more) {
    if (tls) return send_tls(bytes, more);
    const int flags = flags_of_send(more);
    return send_all(bytes, [=, this](std::span<const std::byte> rest) {
        return ::send(fd.get(), rest.data(), rest.size(), flags);
    });
}

std::error_code BlockingCore::send(Gathered parts, bool more) {
    if (tls) return send_tls(parts, more);
    const int flags = flags_of_send(more);
    return send_all(parts, [=, this](const Gathered& rest) {
        msghdr message{};
        message.msg_iov = const_cast<iovec*>(rest.rest().data());
        message.msg_iovlen = rest.rest().size();
        return ::sendmsg(fd.get(), &message, flags);
    });
}

Received BlockingCore::fill(std::size_t size_bytes) {
    if (size_bytes > BufferPool::buffer_bytes) {
        log_long_read(peer(), size_bytes);
        return {.error = failed(std::make_error_code(std::errc::message_size))};
    }
    if (!read_buffer) read_buffer = std::make_unique_for_overwrite<std::byte[]>(BufferPool::buffer_bytes);
    if (unread_begin != 0) {
        std::memmove(read_buffer.get(), read_buffer.get() + unread_begin, unread_end - unread_begin);
        unread_end -= std::exchange(unread_begin, 0U);
    }
    while (unread_end < size_bytes) {
        const Received got = receive({read_buffer.get() + unread_end, BufferPool::buffer_bytes - unread_end});
        unread_end += got.bytes.size();
        if (got) continue;
        const bool cut_short = !got.error && unread_end != 0;
        return {.error = cut_short ? failed(std::make_error_code(std::errc::connection_aborted)) : got.error};
    }
    return {.bytes = unread().first(size_bytes)};
}

Received BlockingCore::take_unread(std::size_t size_bytes) noexcept {
    const auto taken = unread().first(size_bytes);
    unread_begin += size_bytes;
    if (unread_begin == unread_end) unread_begin = unread_end = 0;
    return {.bytes = taken};
}

std::error_code BlockingCore::flush() { return buffer ? buffer->flush() : std::error_code{}; }

std::error_code BlockingCore::end_output() {
    if (tls)
        if (const auto error = end_tls()) return error;
    if (::shutdown(fd.get(), SHUT_WR) == -1) return failed(error_now());
    output_ended = true;
    return {};
}

std::error_code BlockingCore::line_too_long() {
    log(LogLevel::Notice, "{peer} sent a line longer than the limit of {limit_bytes} bytes (--line-max)",
        {{"peer", address_of(peer())}, {"limit_bytes", std::uint64_t{line_max_bytes}}});
    return failed(std::make_error_code(std::errc::message_size));
}

std::error_code BlockingCore::canceled() noexcept {
    was_canceled = true;
    account.failed(ConnectionOutcome::Cut);
    return std::make_error_code(std::errc::operation_canceled);
}

std::error_code BlockingCore::wait(For what) { return wait_until(deadline_after(Clock::now(), patience), what); }

std::error_code BlockingCore::wait_until(Deadline limit, For what, Until end) {
    if (how_.stop.hurried()) return canceled();
    if (!std::exchange(has_waited_, true)) how_.stop.before_first_wait();
    leave_handler(how_.record, WorkerState::WaitingForClient);
    const std::error_code error = poll_until(earlier(limit, served_until_), what, end);
    enter(how_.record, WorkerState::InHandler);
    if (const auto late = cut_when_late()) return late;
    if (error == std::errc::operation_canceled) return canceled();
    if (error == std::errc::timed_out) {
        timed_out = true;
        account.failed(ConnectionOutcome::IdleTimeout);
    }
    return error;
}

/// A handler that does not come back to its client cannot be cut off; it hangs.
std::error_code BlockingCore::cut_when_late() {
    if (!served_until_ || (!cut_ && !has_passed(served_until_, Clock::now()))) return {};
    if (!std::exchange(cut_, true)) {
        account.failed(ConnectionOutcome::RequestTimeout);
        log(LogLevel::Notice, "{peer} took longer than --request-timeout: cutting it off",
            {{"peer", address_of(peer())}});
        ::shutdown(fd.get(), SHUT_RDWR);
    }
    return std::make_error_code(std::errc::timed_out);
}

/// Interrupted: a drain has begun that is to end the wait.
std::error_code BlockingCore::poll_until(Deadline limit, For what, Until end) {
    const bool ends_at_drain = end == Until::Drain;
    const short wanted = what == For::Input ? POLLIN : POLLOUT;
    // poll(2) passes over a negative descriptor.
    std::array<pollfd, 3> watched{{{.fd = fd.get(), .events = wanted, .revents = 0},
                                   {.fd = how_.stop.fd(), .events = POLLIN, .revents = 0},
                                   {.fd = -1, .events = POLLIN, .revents = 0}}};
    if (ends_at_drain) watched[2].fd = how_.stop.drain_fd();
    for (;;) {
        if (ends_at_drain && draining()) return std::make_error_code(std::errc::interrupted);
        const int ready = ::poll(watched.data(), ends_at_drain ? 3 : 2, milliseconds_left(limit));
        if (ready == -1 && errno != EINTR) return error_now();
        if (ready > 0 && watched[1].revents != 0) how_.stop.hear();
        if (how_.stop.hurried()) return std::make_error_code(std::errc::operation_canceled);
        if (ready > 0 && (watched[0].revents & POLLERR) != 0) empty_error_queue(fd.get());  // or we never sleep again
        if (ready > 0 && watched[0].revents != 0) return {};
        if (has_passed(limit, Clock::now())) return std::make_error_code(std::errc::timed_out);
    }
}

const Endpoint& BlockingCore::peer() {
    if (!peer_) peer_ = address_.to_endpoint(SOCK_STREAM);
    return *peer_;
}

const Endpoint& BlockingCore::local() {
    if (!local_) local_ = (announced ? announced->local : SocketAddress::local_of(fd.get())).to_endpoint(SOCK_STREAM);
    return *local_;
}

}  // namespace preforkd
