#include "preforkd/connection.hpp"

#include <sys/socket.h>

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "daemon/worker/stream/connection_core.hpp"
#include "daemon/worker/stream/connection_tls.hpp"
#include "preforkd/asio_socket.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {
using For = ConnectionCore::For;
using Side = ConnectionCore::Side;

std::error_code last_error() noexcept { return {errno, std::generic_category()}; }
}  // namespace

const Endpoint& Connection::peer() const { return core_.peer(); }
const Endpoint& Connection::local() const { return core_.local(); }
const Tls* Connection::tls() const { return core_.tls ? &core_.tls->facts() : nullptr; }
const Announcement* Connection::announcement() const noexcept {
    return core_.announced() != nullptr ? &core_.announced()->said : nullptr;
}

namespace {

std::optional<Filled> try_to_receive_tls(ConnectionCore& core, std::size_t most) {
    const TlsResult got = (*core.tls)->read({core.buffer.get() + core.unread_end, most - core.unread_end});
    if (got.kind == TlsResult::Kind::Done) {
        core.received(got.bytes);
        core.unread_end += static_cast<std::uint32_t>(got.bytes);
        core.drained = !(*core.tls)->has_pending();
        return Filled{.more = true};
    }
    if (core.unread_end == 0) core.loop.buffers.give_back(std::move(core.buffer));
    if (got.kind == TlsResult::Kind::End) return Filled{};
    if (got.kind == TlsResult::Kind::Failed) return Filled{.error = core.broken(got.error)};
    return std::nullopt;
}

}  // namespace

std::optional<Filled> try_to_receive(ConnectionCore& core, std::size_t most) {
    if (const auto error = core.why_cut()) return Filled{.error = error};
    // A connection that has waited before is likely to wait again: ask the kernel once, by the wait, whether something
    // has come.
    if (std::exchange(core.drained, false) && core.in_reactor()) {
        if (core.unread_end == 0) core.loop.buffers.give_back(std::move(core.buffer));
        return std::nullopt;
    }
    if (!core.buffer) core.buffer = core.loop.buffers.take();
    if (core.unread_begin != 0) {
        std::memmove(core.buffer.get(), core.buffer.get() + core.unread_begin, core.unread_end - core.unread_begin);
        core.unread_end -= std::exchange(core.unread_begin, 0U);
    }
    if (core.tls) return try_to_receive_tls(core, most);
    const std::size_t space = most - core.unread_end;
    ssize_t got = 0;
    do got = ::recv(core.fd(), core.buffer.get() + core.unread_end, space, MSG_DONTWAIT);
    while (got == -1 && errno == EINTR);
    if (got > 0) {
        core.received(static_cast<std::size_t>(got));
        core.unread_end += static_cast<std::uint32_t>(got);
        core.drained = static_cast<std::size_t>(got) < space;
        return Filled{.more = true};
    }
    const std::error_code error = got == 0 ? std::error_code{} : last_error();
    if (core.unread_end == 0) core.loop.buffers.give_back(std::move(core.buffer));
    if (error == std::errc::resource_unavailable_try_again) return std::nullopt;
    return Filled{.error = error ? core.broken(error) : error};
}

namespace {

/// `first`: what is waited for before anything is taken, which may be a turn; then there is nothing more yet.
awaitable<Filled> receive(ConnectionCore& core, std::size_t most, Deadline& until, std::optional<For> first) {
    for (;;) {
        if (!first)
            if (const auto filled = try_to_receive(core, most)) co_return *filled;
        const For what = first.value_or(core.wanted_to_read());
        if (const auto failed = co_await core.wait(Side::Reading, what, until)) co_return Filled{.error = failed};
        if (first) co_return Filled{.more = true};
    }
}

/// Hands out the first `size` unread bytes; they stay where they are until the next read.
Received take_unread(ConnectionCore& core, std::size_t size) {
    const std::span<const std::byte> bytes{core.buffer.get() + core.unread_begin, size};
    core.unread_begin += static_cast<std::uint32_t>(size);
    if (core.unread_begin == core.unread_end) core.unread_begin = core.unread_end = 0;
    return {.bytes = bytes};
}

/// Bytes that are unread or can be received now, at most `most`; nullopt: none yet.
std::optional<Received> read_now(ConnectionCore& core, std::size_t most) {
    if (core.unread_end == core.unread_begin) {
        const auto filled = try_to_receive(core, most);
        if (!filled) return std::nullopt;
        if (!filled->more) return Received{.error = filled->error};
    }
    return take_unread(core, std::min<std::size_t>(most, core.unread_end - core.unread_begin));
}

}  // namespace

// Where idle connections wait, so it calls no other coroutine, each of which would cost them a frame, and returns in
// one place: GCC keeps what each co_return returns apart.
awaitable<Received> Connection::read_some(std::size_t limit_bytes) {
    const std::size_t most = std::clamp<std::size_t>(limit_bytes, 1, longest_read_bytes);
    Deadline until;
    bool takes_turns = ConnectionCore::takes_turns(co_await boost::asio::this_coro::cancellation_state);
    std::optional<Received> received;
    if (!takes_turns) received = read_now(core_, most);
    while (!received) {
        const For what = std::exchange(takes_turns, false) ? For::Turn : core_.wanted_to_read();
        std::error_code error = core_.begin_wait(Side::Reading, what, until);
        if (!error) {
            co_await core_.readiness(Side::Reading, what);
            error = core_.end_wait(Side::Reading, what);
        }
        received = error ? Received{.error = error} : read_now(core_, most);
    }
    co_return *received;
}

awaitable<Received> Connection::read_until(std::string_view delimiter, std::size_t limit_bytes) {
    const std::size_t most = std::clamp<std::size_t>(limit_bytes, 1, longest_read_bytes);
    Deadline until;
    std::optional<For> first;
    const bool takes_turns = ConnectionCore::takes_turns(co_await boost::asio::this_coro::cancellation_state);
    if (takes_turns) first = For::Turn;
    for (std::size_t searched = 0;;) {
        const std::string_view unread{reinterpret_cast<const char*>(core_.buffer.get()) + core_.unread_begin,
                                      first ? 0 : core_.unread_end - core_.unread_begin};
        const std::size_t found = unread.find(delimiter, searched);
        if (found != std::string_view::npos && found + delimiter.size() <= most)
            co_return take_unread(core_, found + delimiter.size());
        if (unread.size() >= most) {
            log(LogLevel::Notice, "{peer} sent a line longer than the limit of {limit_bytes} bytes",
                {{"peer", address_of(peer())}, {"limit_bytes", std::uint64_t{most}}});
            co_return Received{.error = std::make_error_code(std::errc::message_size)};
        }
        searched = unread.size() < delimiter.size() ? 0 : unread.size() - delimiter.size() + 1;
        const Filled filled = co_await receive(core_, most, until, std::exchange(first, std::nullopt));
        if (filled.more) continue;
        if (filled.error || unread.empty()) co_return Received{.error = filled.error};
        co_return take_unread(core_, core_.unread_end - core_.unread_begin);
    }
}

awaitable<Received> Connection::read_line(std::size_t limit_bytes) { return read_until("\n", limit_bytes); }

void Connection::timeout(std::chrono::milliseconds patience) noexcept { core_.operation_timeout = patience; }

boost::asio::generic::stream_protocol::socket& asio_socket(Connection& client) {
    ConnectionCore& core = ConnectionCore::behind(client);
    if (core.tls) refuse_socket("asio_socket()");
    return core.socket();
}

namespace {

awaitable<std::error_code> send_all(ConnectionCore& core, std::span<const std::byte> bytes, int flags) {
    if (core.tls) co_return co_await send_tls(core, bytes, flags == MSG_MORE);
    Deadline until;
    while (!bytes.empty()) {
        if (const auto error = core.why_not_write()) co_return error;
        const ssize_t sent = ::send(core.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL | flags);
        if (sent >= 0) {
            core.sent(static_cast<std::size_t>(sent));
            bytes = bytes.subspan(static_cast<std::size_t>(sent));
            continue;
        }
        const std::error_code error = last_error();
        if (error == std::errc::interrupted) continue;
        if (error != std::errc::resource_unavailable_try_again) co_return core.broken(error);
        if (const auto failed = co_await core.wait(Side::Writing, For::Output, until)) co_return failed;
    }
    co_return no_error;
}

awaitable<std::error_code> send_last(ConnectionCore& core, std::span<const std::byte> bytes) {
    // MSG_MORE holds the last segment back for the FIN, which the shutdown sends at once.
    const std::error_code error = co_await send_all(core, bytes, MSG_MORE);
    if (error) co_return error;
    if (core.tls) co_return co_await end_tls(core);
    core.output_ended = true;
    if (::shutdown(core.fd(), SHUT_WR) == -1) co_return last_error();
    co_return no_error;
}

}  // namespace

awaitable<std::error_code> Connection::write(std::span<const std::byte> bytes) { return send_all(core_, bytes, 0); }
awaitable<std::error_code> Connection::write(std::string_view text) {
    return send_all(core_, std::as_bytes(std::span{text}), 0);
}
awaitable<std::error_code> Connection::write_last(std::span<const std::byte> bytes) { return send_last(core_, bytes); }
awaitable<std::error_code> Connection::write_last(std::string_view text) {
    return send_last(core_, std::as_bytes(std::span{text}));
}

std::error_code Connection::half_close() {
    if (core_.half_written) return core_.why_not_write();
    if (core_.tls) return end_tls_at_once(core_);
    core_.output_ended = true;
    return ::shutdown(core_.fd(), SHUT_WR) == 0 ? no_error : last_error();
}

}  // namespace preforkd
