// A test as the client of its handler.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <utility>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/net/proxy_writing.hpp"
#include "common/net/socket_address.hpp"
#include "preforkd/test.hpp"

namespace preforkd::test {

using namespace std::chrono_literals;

namespace {

constexpr auto patience = 10'000ms;

/// What it is told to be connected to.
Endpoint any_local(const Endpoint& from) {
    return {.transport = Transport::Tcp,
            .host = from.host.find(':') == from.host.npos ? "127.0.0.1" : "::1",
            .port = 10000};
}

std::string announcement_of(std::string_view from) {
    if (from.empty()) return write_proxy_header(ProxyVersion::V2, SOCK_STREAM, std::nullopt);
    const Endpoint source = parse_endpoint(from);
    if (source.transport != Transport::Tcp)
        throw std::invalid_argument{"preforkd::test::Client: " + to_string(source) + ": expected tcp://ADDRESS:PORT"};
    return write_proxy_header(
        ProxyVersion::V2, SOCK_STREAM,
        ProxyEnds{.source = resolve(source).at(0), .destination = resolve(any_local(source)).at(0)});
}

}  // namespace

Client::Client(Service& service, std::string_view from) : service_{service} {
    const std::string announcement = announcement_of(from);
    UniqueFd socket{check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket")};
    const SocketAddress address = resolve(service.address()).at(0);
    check(::connect(socket.get(), address.data(), address.size()), "connect to the service");
    socket_ = socket.release();
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
    pollfd wanted{.fd = socket_, .events = POLLIN, .revents = 0};
    int ready = -1;
    while ((ready = ::poll(&wanted, 1, static_cast<int>(patience / 1ms))) == -1 && errno == EINTR) {}
    if (ready == 0) throw std::runtime_error{"preforkd::test::Client: nothing came from the handler within 10 s"};
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
