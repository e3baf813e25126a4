// A test as the sender of datagrams.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/base/sys_error.hpp"
#include "daemon/test_kit/all_asleep.hpp"
#include "daemon/test_kit/client_side.hpp"
#include "preforkd/test.hpp"

namespace preforkd::test {

namespace {

/// The next one; nullopt: with these flags there is none.
std::optional<std::string> receive_datagram(int socket, int flags) {
    std::string datagram(65536, '\0');
    ssize_t size = -1;
    while ((size = ::recv(socket, datagram.data(), datagram.size(), flags)) == -1 && errno == EINTR) {}
    if (size == -1 && errno == EAGAIN) return std::nullopt;
    datagram.resize(static_cast<std::size_t>(check(static_cast<int>(size), "receive from the handler")));
    return datagram;
}

}  // namespace

Datagrams::Datagrams(Service& service, std::string_view from)
    : service_{service},
      announcement_{announcement_of(from, Transport::Udp)},
      socket_{connect_to(service.address(), SOCK_DGRAM).release()} {}

Datagrams::Datagrams(std::unique_ptr<Service> own, std::string_view from) : Datagrams{*own, from} {
    own_ = std::move(own);
}

Datagrams::~Datagrams() { ::close(socket_); }

void Datagrams::send(std::string_view datagram) {
    const std::string announced = announcement_ + std::string{datagram};
    ssize_t sent = -1;
    while ((sent = ::send(socket_, announced.data(), announced.size(), MSG_NOSIGNAL)) == -1 && errno == EINTR) {}
    check(static_cast<int>(sent), "send to the handler");
}

std::string Datagrams::receive() {
    wait_for_handler(socket_);
    return receive_datagram(socket_, 0).value();
}

std::optional<std::string> Datagrams::try_receive() {
    wait_until_all_sleep();
    return receive_datagram(socket_, MSG_DONTWAIT);
}

}  // namespace preforkd::test
