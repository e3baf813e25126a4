#include "preforkd/stream.hpp"

#include <sys/socket.h>

#include <boost/asio/error.hpp>

#include <algorithm>
#include <cstring>

#include "daemon/worker/stream/connection_core.hpp"

namespace preforkd {

namespace {

ConnectionCore::Side side_of(bool is_write) noexcept {
    return is_write ? ConnectionCore::Side::Writing : ConnectionCore::Side::Reading;
}

boost::system::error_code in_asio(int number) noexcept { return {number, boost::system::system_category()}; }

/// Ours are errno's, all of them.
boost::system::error_code in_asio(const std::error_code& error) noexcept { return in_asio(error.value()); }

/// Copies what is unread as far as there is space.
std::size_t take_unread(ConnectionCore& core, const boost::asio::mutable_buffer& space) noexcept {
    const std::size_t bytes = std::min<std::size_t>(space.size(), core.unread.size());
    std::memcpy(space.data(), core.buffer.get() + core.unread.begin(), bytes);
    core.unread.take(bytes);
    return bytes;
}

}  // namespace

Stream::Stream(Connection& client)
    : link_{.core = &ConnectionCore::behind(client), .context = &ConnectionCore::behind(client).loop.reactor.context} {}

Stream::Attempt Stream::Link::read(const boost::asio::mutable_buffer& first) const {
    ConnectionCore& client = *core;
    if (const auto error = client.why_cut()) return {.error = in_asio(error)};
    if (!client.unread.empty()) return {.bytes = take_unread(client, first)};
    client.loop.buffers.give_back(std::move(client.buffer));
    ConnectionCore::Arrived got;
    if (client.may_have_something()) got = client.receive_now({static_cast<std::byte*>(first.data()), first.size()});
    switch (got.kind) {
        case ConnectionCore::Arrived::Kind::Bytes: return {.bytes = got.bytes};
        case ConnectionCore::Arrived::Kind::Nothing:
            return {.waits_for = ConnectionCore::event_of(client.wanted_to_read())};
        case ConnectionCore::Arrived::Kind::End: return {.error = boost::asio::error::eof};
        case ConnectionCore::Arrived::Kind::Failed: break;
    }
    return {.error = in_asio(got.error)};
}

Stream::Attempt Stream::Link::write(std::span<const boost::asio::const_buffer> buffers) const {
    if (const auto error = core->why_not_write()) return {.error = in_asio(error)};
    std::array<iovec, Writing::most_buffers> parts;
    for (std::size_t i = 0; i < buffers.size(); ++i)
        parts[i] = {.iov_base = const_cast<void*>(buffers[i].data()), .iov_len = buffers[i].size()};
    const ConnectionCore::Sent sent = core->send_now({parts.data(), buffers.size()}, 0);
    if (sent.waits_for) return {.waits_for = ConnectionCore::event_of(*sent.waits_for)};
    return {.error = in_asio(sent.error), .bytes = sent.bytes};
}

Stream::Error Stream::Link::begin_wait(bool is_write, Deadline& until) const try {
    return in_asio(core->begin_wait(side_of(is_write), ConnectionCore::For::Input, until));
} catch (const std::system_error& error) { return in_asio(error.code()); }  // no place in the epoll set

void Stream::Link::wait(bool is_write, SocketEvent what, SocketWaiter& waiter) const {
    core->wait_on_socket(side_of(is_write), what, waiter);
}

Stream::Error Stream::Link::end_wait(bool is_write) const {
    return in_asio(core->end_wait(side_of(is_write), ConnectionCore::For::Input));
}

void Stream::Link::withdraw(bool is_write) const { core->withdraw(side_of(is_write)); }

Stream::Error Stream::Link::end_output() const {
    Connection client{*core};
    return in_asio(client.half_close());
}

void Stream::Link::cut() const {
    core->account.failed(ConnectionOutcome::IdleTimeout);
    core->half_written = true;
    ::shutdown(core->fd(), SHUT_RDWR);  // ends what waits, too
}

}  // namespace preforkd
