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

awaitable<std::error_code> Connection::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(core_.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(sent));
            continue;
        }
        const std::error_code error = last_error();
        if (error == std::errc::interrupted) continue;
        if (error != std::errc::resource_unavailable_try_again) co_return error;
        if (const auto failed = co_await core_.wait(ConnectionCore::For::Output)) co_return failed;
    }
    co_return std::error_code{};
}

awaitable<std::error_code> Connection::write(std::string_view text) {
    return write(std::as_bytes(std::span{text.data(), text.size()}));
}

}  // namespace preforkd
