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
#include "daemon/worker/stream/gathered.hpp"
#include "daemon/worker/stream/long_read.hpp"
#include "preforkd/asio_socket.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {
using For = ConnectionCore::For;
using Side = ConnectionCore::Side;
using Arrived = ConnectionCore::Arrived;

std::error_code last_error() noexcept { return error_of(errno); }
}  // namespace

const Endpoint& Connection::peer() const { return core_.peer(); }
const Endpoint& Connection::local() const { return core_.local(); }
const Tls* Connection::tls() const { return core_.tls ? &core_.tls->facts() : nullptr; }
const Announcement* Connection::announcement() const noexcept {
    return core_.announced() != nullptr ? &core_.announced()->said : nullptr;
}

std::optional<Filled> try_to_receive(ConnectionCore& core, std::size_t most) {
    if (const auto error = core.why_cut()) return Filled{.error = error};
    if (!core.may_have_something()) {
        if (core.unread.empty()) core.loop.buffers.give_back(std::move(core.buffer));
        return std::nullopt;
    }
    if (!core.buffer) core.buffer = core.loop.buffers.take();
    if (core.unread.begin() != 0) {
        std::memmove(core.buffer.get(), core.buffer.get() + core.unread.begin(), core.unread.size());
        core.unread.move_to_front();
    }
    const Arrived got = core.receive_now({core.buffer.get() + core.unread.end(), most - core.unread.end()});
    if (got.kind == Arrived::Kind::Bytes) {
        core.unread.add(got.bytes);
        return Filled{.more = true};
    }
    if (core.unread.empty()) core.loop.buffers.give_back(std::move(core.buffer));
    if (got.kind == Arrived::Kind::Nothing) return std::nullopt;
    return Filled{.error = error_of(got.error)};
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
    const std::span<const std::byte> bytes{core.buffer.get() + core.unread.begin(), size};
    core.unread.take(size);
    return {.bytes = bytes};
}

/// A read_some() between its waits, in few bytes: this is what an idle connection's frame has of it.
class SomeRead {
public:
    SomeRead(ConnectionCore& core, std::size_t limit_bytes, bool takes_turns) noexcept
        : wait_{core, Side::Reading, For::Input},
          most_{static_cast<std::uint16_t>(std::clamp<std::size_t>(limit_bytes, 1, Connection::longest_read_bytes))},
          takes_turns_{takes_turns} {}

    /// Whether it has to wait, and has begun to.
    [[nodiscard]] bool waits() {
        if (error_ != 0) return false;
        if (!takes_turns_) {
            ConnectionCore& core = wait_.core;
            const auto filled = core.unread.empty() ? try_to_receive(core, most_) : Filled{};
            if (filled) {
                fail(filled->error);
                return false;
            }
        }
        wait_.what = std::exchange(takes_turns_, false) ? For::Turn : wait_.core.wanted_to_read();
        return !fail(wait_.core.begin_wait(Side::Reading, wait_.what, until_));
    }
    [[nodiscard]] auto wait_ended() noexcept { return wait_.ended(); }
    void end_wait() { fail(wait_.core.end_wait(Side::Reading, wait_.what)); }

    [[nodiscard]] Received received() {
        if (error_ != 0) return {.error = error_of(error_)};
        ConnectionCore& core = wait_.core;
        return take_unread(core, std::min<std::size_t>(most_, core.unread.size()));
    }

private:
    bool fail(const std::error_code& error) noexcept {
        error_ = static_cast<std::uint16_t>(error.value());
        return error_ != 0;
    }

    ConnectionCore::Wait wait_;
    Deadline until_{};
    std::uint16_t most_;
    std::uint16_t error_ = 0;  ///< an errno
    bool takes_turns_;
};

}  // namespace

// Where idle connections wait, so it calls no other coroutine, each of which would cost them a frame.
awaitable<Received> Connection::read_some(std::size_t limit_bytes) {
    SomeRead read{core_, limit_bytes, ConnectionCore::takes_turns(co_await boost::asio::this_coro::cancellation_state)};
    while (read.waits()) {
        co_await read.wait_ended();
        read.end_wait();
    }
    co_return read.received();
}

namespace {

/// Fills the buffer until `size_bytes` are unread; those, or why there are fewer.
awaitable<Received> fill(ConnectionCore& core, std::size_t size_bytes) {
    if (size_bytes > Connection::longest_read_bytes) {
        log_long_read(core.peer(), size_bytes);
        co_return Received{.error = std::make_error_code(std::errc::message_size)};
    }
    Deadline until;
    std::optional<For> first;
    const bool takes_turns = ConnectionCore::takes_turns(co_await boost::asio::this_coro::cancellation_state);
    if (takes_turns) first = For::Turn;
    while (first || core.unread.size() < size_bytes) {
        const Filled filled =
            co_await receive(core, Connection::longest_read_bytes, until, std::exchange(first, std::nullopt));
        if (filled.more) continue;
        const bool cut_short = !filled.error && !core.unread.empty();
        co_return Received{.error = cut_short ? std::make_error_code(std::errc::connection_aborted) : filled.error};
    }
    co_return Received{.bytes = {core.buffer.get() + core.unread.begin(), size_bytes}};
}

/// `all`: until `space` is full.
awaitable<Received> read_into(ConnectionCore& core, std::span<std::byte> space, bool all) {
    Deadline until;
    std::size_t filled = 0;
    bool takes_turns = ConnectionCore::takes_turns(co_await boost::asio::this_coro::cancellation_state);
    while (filled < space.size() && (all || filled == 0)) {
        if (!takes_turns) {
            if (const auto error = core.why_cut()) co_return Received{.error = error};
            if (!core.unread.empty()) {
                const std::size_t kept = core.unread.size();
                const Received taken = take_unread(core, std::min(space.size() - filled, kept));
                std::memcpy(space.data() + filled, taken.bytes.data(), taken.bytes.size());
                filled += taken.bytes.size();
                continue;
            }
            core.loop.buffers.give_back(std::move(core.buffer));
            Arrived got;
            if (core.may_have_something()) got = core.receive_now(space.subspan(filled));
            filled += got.bytes;
            if (got.kind == Arrived::Kind::Bytes) continue;
            if (got.kind == Arrived::Kind::Failed) co_return Received{.error = error_of(got.error)};
            if (got.kind == Arrived::Kind::End) {
                if (filled != 0) co_return Received{.error = std::make_error_code(std::errc::connection_aborted)};
                co_return Received{};
            }
        }
        const For what = std::exchange(takes_turns, false) ? For::Turn : core.wanted_to_read();
        if (const auto error = co_await core.wait(Side::Reading, what, until)) co_return Received{.error = error};
    }
    co_return Received{.bytes = space.first(filled)};
}

}  // namespace

awaitable<Received> Connection::read_exactly(std::size_t size_bytes) {
    const Received all = co_await fill(core_, size_bytes);
    co_return all ? take_unread(core_, size_bytes) : all;
}

awaitable<Received> Connection::peek(std::size_t size_bytes) { return fill(core_, size_bytes); }
awaitable<Received> Connection::read_some(std::span<std::byte> space) { return read_into(core_, space, false); }
awaitable<Received> Connection::read_exactly(std::span<std::byte> space) { return read_into(core_, space, true); }

Received Connection::buffered() const noexcept {
    return {.bytes = {core_.buffer.get() + core_.unread.begin(), core_.unread.size()}};
}

awaitable<Received> Connection::read_until(std::string_view delimiter, std::size_t limit_bytes) {
    const std::size_t most = std::clamp<std::size_t>(limit_bytes, 1, longest_read_bytes);
    Deadline until;
    std::optional<For> first;
    const bool takes_turns = ConnectionCore::takes_turns(co_await boost::asio::this_coro::cancellation_state);
    if (takes_turns) first = For::Turn;
    for (std::size_t searched = 0;;) {
        const std::string_view unread{reinterpret_cast<const char*>(core_.buffer.get()) + core_.unread.begin(),
                                      first ? 0 : core_.unread.size()};
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
        co_return take_unread(core_, core_.unread.size());
    }
}

awaitable<Received> Connection::read_line(std::size_t limit_bytes) { return read_until("\n", limit_bytes); }

void Connection::timeout(std::chrono::milliseconds patience) noexcept { core_.operation_timeout = patience; }

boost::asio::generic::stream_protocol::socket& asio_socket(Connection& client) {
    ConnectionCore& core = ConnectionCore::behind(client);
    if (core.tls) refuse_socket("asio_socket()");
    return core.asio_socket();
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

awaitable<std::error_code> send_all(ConnectionCore& core, Gathered parts, int flags) {
    Deadline until;
    while (!parts.empty()) {
        if (const auto error = core.why_not_write()) co_return error;
        const ConnectionCore::Sent sent = core.send_now(parts.rest(), flags);
        if (sent.error != 0) co_return error_of(sent.error);
        parts.drop(sent.bytes);
        if (!sent.waits_for) continue;
        if (const auto failed = co_await core.wait(Side::Writing, *sent.waits_for, until)) co_return failed;
    }
    co_return no_error;
}

template <class Bytes>
awaitable<std::error_code> send_last(ConnectionCore& core, Bytes bytes) {
    // MSG_MORE holds the last segment back for the FIN, which the shutdown sends at once.
    const std::error_code error = co_await send_all(core, std::move(bytes), MSG_MORE);
    if (error) co_return error;
    if (core.tls) co_return co_await end_tls(core);
    core.output_ended = true;
    if (::shutdown(core.fd(), SHUT_WR) == -1) co_return last_error();
    co_return no_error;
}

}  // namespace

awaitable<std::error_code> Connection::write(std::span<const std::byte> bytes) { return send_all(core_, bytes, 0); }
awaitable<std::error_code> Connection::write(Parts parts) { return send_all(core_, Gathered{parts}, 0); }
awaitable<std::error_code> Connection::write_last(std::span<const std::byte> bytes) { return send_last(core_, bytes); }
awaitable<std::error_code> Connection::write_last(Parts parts) { return send_last(core_, Gathered{parts}); }

std::error_code Connection::half_close() {
    if (core_.half_written) return core_.why_not_write();
    if (core_.tls) return end_tls_at_once(core_);
    core_.output_ended = true;
    return ::shutdown(core_.fd(), SHUT_WR) == 0 ? no_error : last_error();
}

}  // namespace preforkd
