#include "daemon/test_kit/client_side.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <stdexcept>

#include "common/base/sys_error.hpp"
#include "common/net/proxy_writing.hpp"
#include "common/net/socket_address.hpp"

namespace preforkd::test {

using namespace std::chrono_literals;

namespace {

constexpr auto patience = 10'000ms;

/// What it is told to be connected to.
Endpoint any_local(const Endpoint& from) {
    return {.transport = from.transport,
            .host = from.host.find(':') == from.host.npos ? "127.0.0.1" : "::1",
            .port = 10000};
}

}  // namespace

std::string announcement_of(std::string_view from, Transport transport) {
    const int type = transport == Transport::Tcp ? SOCK_STREAM : SOCK_DGRAM;
    if (from.empty()) return write_proxy_header(ProxyVersion::V2, type, std::nullopt);
    const Endpoint source = parse_endpoint(from);
    if (source.transport != transport)
        throw std::invalid_argument{"preforkd::test: " + to_string(source) + ": expected " +
                                    std::string{to_string(transport)} + "://ADDRESS:PORT"};
    return write_proxy_header(
        ProxyVersion::V2, type,
        ProxyEnds{.source = resolve(source).at(0), .destination = resolve(any_local(source)).at(0)});
}

UniqueFd connect_to(const Endpoint& service, int type) {
    if (is_datagram(service.transport) != (type == SOCK_DGRAM))
        throw std::runtime_error{is_datagram(service.transport)
                                     ? "preforkd::test: the service serves datagrams; use Datagrams"
                                     : "preforkd::test: the service serves connections; use Client"};
    UniqueFd socket{check(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0), "make a socket")};
    const sockaddr_un any{.sun_family = AF_UNIX, .sun_path = {}};
    if (type == SOCK_DGRAM)  // or else nobody could answer
        check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any.sun_family), "name a socket");
    const SocketAddress address = resolve(service).at(0);
    check(::connect(socket.get(), address.data(), address.size()), "connect to the service");
    return socket;
}

void wait_for_handler(int socket) {
    pollfd wanted{.fd = socket, .events = POLLIN, .revents = 0};
    int ready = -1;
    while ((ready = ::poll(&wanted, 1, static_cast<int>(patience / 1ms))) == -1 && errno == EINTR) {}
    if (ready == 0) throw std::runtime_error{"preforkd::test: nothing came from the handler within 10 s"};
}

}  // namespace preforkd::test
