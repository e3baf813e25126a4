#include "preforkd/stream.hpp"

#include <sys/socket.h>

#include <boost/asio/error.hpp>

#include <algorithm>
#include <cstring>

#include "daemon/worker/stream/connection_core.hpp"

namespace preforkd {

namespace {

using boost::asio::socket_base;

ConnectionCore::Side side_of(bool is_write) noexcept {
    return is_write ? ConnectionCore::Side::Writing : ConnectionCore::Side::Reading;
}

boost::system::error_code in_asio(int number) noexcept { return {number, boost::system::system_category()}; }

/// Ours are errno's, all of them.
boost::system::error_code in_asio(const std::error_code& error) noexcept { return in_asio(error.value()); }

socket_base::wait_type wait_for(ConnectionCore::For what) noexcept {
    return what == ConnectionCore::For::Output ? socket_base::wait_write : socket_base::wait_read;
}

/// Copies what is unread as far as there is space.
std::size_t take_unread(ConnectionCore& core, const boost::asio::mutable_buffer& space) noexcept {
    const std::size_t bytes = std::min<std::size_t>(space.size(), core.unread_end - core.unread_begin);
    std::memcpy(space.data(), core.buffer.get() + core.unread_begin, bytes);
    core.unread_begin += static_cast<std::uint32_t>(bytes);
    if (core.unread_begin == core.unread_end) core.unread_begin = core.unread_end = 0;
    return bytes;
}

/// The other way round.
void keep_unread(ConnectionCore& core, const boost::asio::mutable_buffer& bytes) {
    if (bytes.size() == 0) return;
    core.buffer = core.loop.buffers.take();
    std::memcpy(core.buffer.get(), bytes.data(), bytes.size());
    core.unread_begin = 0;
    core.unread_end = static_cast<std::uint32_t>(bytes.size());
}

}  // namespace

Stream::Stream(Connection& client)
    : link_{.core = &ConnectionCore::behind(client),
            .context = &ConnectionCore::behind(client).loop.reactor.context,
            .socket = &ConnectionCore::behind(client).socket()} {}

Stream::Attempt Stream::Link::read(const boost::asio::mutable_buffer& first) const {
    ConnectionCore& client = *core;
    if (const auto error = client.why_cut()) return {.error = in_asio(error)};
    if (client.unread_begin != client.unread_end) return {.bytes = take_unread(client, first)};
    client.loop.buffers.give_back(std::move(client.buffer));
    // Where it receives by itself, the reactor need not be told anew that somebody waits.
    if (!client.tls && !client.input_ended) return {.waits_for = socket_base::wait_read, .receives = true};
    ConnectionCore::Arrived got;
    if (client.may_have_something()) got = client.receive_now({static_cast<std::byte*>(first.data()), first.size()});
    switch (got.kind) {
        case ConnectionCore::Arrived::Kind::Bytes: return {.bytes = got.bytes};
        case ConnectionCore::Arrived::Kind::Nothing: return {.waits_for = wait_for(client.wanted_to_read())};
        case ConnectionCore::Arrived::Kind::End: return {.error = boost::asio::error::eof};
        case ConnectionCore::Arrived::Kind::Failed: break;
    }
    return {.error = in_asio(got.error)};
}

/// `received`: empty at an error, and at the end of the client's output.
Stream::Attempt Stream::Link::end_read(const Error& woken, const boost::asio::mutable_buffer& received) const {
    const bool has_ended = woken == boost::asio::error::eof;
    core->input_ended |= received.size() == 0 && woken != boost::asio::error::operation_aborted;
    const std::error_code error = core->end_wait(ConnectionCore::Side::Reading, has_ended ? 0 : woken.value());
    if (received.size() != 0) core->received(received.size());
    if (!error) return has_ended ? Attempt{.error = boost::asio::error::eof} : Attempt{.bytes = received.size()};
    if (core->input_ended) (void)core->broken(error);
    if (received.size() > BufferPool::buffer_bytes) return {.bytes = received.size()};
    keep_unread(*core, received);  // whoever is told to go has taken nothing: it is the next one's
    return {.error = in_asio(error)};
}

Stream::Attempt Stream::Link::write(std::span<const boost::asio::const_buffer> buffers) const {
    if (const auto error = core->why_not_write()) return {.error = in_asio(error)};
    std::array<iovec, Writing::most_buffers> parts;
    for (std::size_t i = 0; i < buffers.size(); ++i)
        parts[i] = {.iov_base = const_cast<void*>(buffers[i].data()), .iov_len = buffers[i].size()};
    const ConnectionCore::Sent sent = core->send_now({parts.data(), buffers.size()}, 0);
    if (sent.waits_for) return {.waits_for = wait_for(*sent.waits_for)};
    return {.error = in_asio(sent.error), .bytes = sent.bytes};
}

Stream::Error Stream::Link::begin_wait(bool is_write, Deadline& until) const {
    return in_asio(core->begin_wait(side_of(is_write), ConnectionCore::For::Input, until));
}

Stream::Error Stream::Link::end_wait(bool is_write, const Error& woken) const {
    return in_asio(core->end_wait(side_of(is_write), woken.value()));
}

bool Stream::Link::woken_in_vain(bool is_write, const Error& woken) const noexcept {
    return core->wakes_in_vain(side_of(is_write), woken);
}

void Stream::Link::withdraw(bool is_write) const noexcept { core->withdraw(side_of(is_write)); }

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
