// A test as the client of its handler.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "common/base/sys_error.hpp"
#include "daemon/test_kit/client_side.hpp"
#include "preforkd/test.hpp"

namespace preforkd::test {

Client::Client(Service& service, std::string_view from) : service_{service} {
    const std::string announcement = announcement_of(from, Transport::Tcp);
    socket_ = connect_to(service.address(), SOCK_STREAM).release();
    send(announcement);
}

Client::Client(std::unique_ptr<Service> own, std::string_view from) : Client{*own, from} { own_ = std::move(own); }

Client::~Client() { close(); }

void Client::close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
}

void Client::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent == -1 && errno == EINTR) continue;
        bytes.remove_prefix(static_cast<std::size_t>(check(static_cast<int>(sent), "send to the handler")));
    }
}

void Client::half_close() { check(::shutdown(socket_, SHUT_WR), "end the output"); }

/// False at the end.
bool Client::receive_more() {
    wait_for_handler(socket_);
    std::array<char, 65536> chunk;
    const ssize_t size = ::recv(socket_, chunk.data(), chunk.size(), 0);
    if (size == -1 && errno == ECONNRESET) return false;
    received_.append(chunk.data(), static_cast<std::size_t>(check(static_cast<int>(size), "receive from the handler")));
    return size != 0;
}

std::string Client::receive() {
    if (received_.empty()) (void)receive_more();
    return std::exchange(received_, {});
}

std::string Client::receive(std::size_t bytes) {
    while (received_.size() < bytes && receive_more()) {}
    std::string taken = received_.substr(0, bytes);
    received_.erase(0, bytes);
    return taken;
}

std::string Client::receive_until(std::string_view delimiter) {
    std::size_t found = 0;
    while ((found = received_.find(delimiter)) == received_.npos)
        if (!receive_more()) return std::exchange(received_, {});
    return receive(found + delimiter.size());
}

std::string Client::receive_all() {
    while (receive_more()) {}
    return std::exchange(received_, {});
}

}  // namespace preforkd::test
