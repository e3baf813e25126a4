#include "preforkd/connection.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "daemon/worker/connection_core.hpp"

namespace preforkd {

namespace {
std::error_code last_error() noexcept { return {errno, std::generic_category()}; }
}  // namespace

const Endpoint& Connection::peer() const { return core_.peer(); }
const Endpoint& Connection::local() const { return core_.local(); }

awaitable<Received> Connection::read_some(std::size_t limit_bytes) {
    const std::size_t most = std::clamp<std::size_t>(limit_bytes, 1, BufferPool::buffer_bytes);
    for (;;) {
        if (!core_.buffer) core_.buffer = core_.loop.buffers.take();
        const ssize_t got = ::recv(core_.fd(), core_.buffer.get(), most, MSG_DONTWAIT);
        if (got > 0) co_return Received{.bytes = {core_.buffer.get(), static_cast<std::size_t>(got)}};
        const std::error_code error = got == 0 ? std::error_code{} : last_error();
        if (error == std::errc::interrupted) continue;
        core_.loop.buffers.give_back(std::move(core_.buffer));
        if (error != std::errc::resource_unavailable_try_again) co_return Received{.error = error};
        if (const auto failed = co_await core_.wait(ConnectionCore::For::Input)) co_return Received{.error = failed};
    }
}

namespace {

awaitable<std::error_code> send_all(ConnectionCore& core, std::span<const std::byte> bytes, int flags) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(core.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL | flags);
        if (sent >= 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(sent));
            continue;
        }
        const std::error_code error = last_error();
        if (error == std::errc::interrupted) continue;
        if (error != std::errc::resource_unavailable_try_again) co_return error;
        if (const auto failed = co_await core.wait(ConnectionCore::For::Output)) co_return failed;
    }
    co_return std::error_code{};
}

awaitable<std::error_code> send_last(ConnectionCore& core, std::span<const std::byte> bytes) {
    // MSG_MORE holds the last segment back for the FIN, which the shutdown sends at once.
    const std::error_code error = co_await send_all(core, bytes, MSG_MORE);
    if (error) co_return error;
    core.output_ended = true;
    if (::shutdown(core.fd(), SHUT_WR) == -1) co_return last_error();
    co_return std::error_code{};
}

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span{text.data(), text.size()});
}

}  // namespace

awaitable<std::error_code> Connection::write(std::span<const std::byte> bytes) { return send_all(core_, bytes, 0); }
awaitable<std::error_code> Connection::write(std::string_view text) { return send_all(core_, bytes_of(text), 0); }
awaitable<std::error_code> Connection::write_last(std::span<const std::byte> bytes) { return send_last(core_, bytes); }
awaitable<std::error_code> Connection::write_last(std::string_view text) { return send_last(core_, bytes_of(text)); }

std::error_code Connection::half_close() {
    core_.output_ended = true;
    return ::shutdown(core_.fd(), SHUT_WR) == 0 ? std::error_code{} : last_error();
}

}  // namespace preforkd
