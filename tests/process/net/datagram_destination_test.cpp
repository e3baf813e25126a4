// What a UDP socket tells of where its datagrams were sent to: common/net/bind_attempt.cpp.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <string>

#include "common/base/sys_error.hpp"
#include "common/net/listener.hpp"
#include "common/net/socket_address.hpp"
#include "loopback.hpp"

namespace preforkd {
namespace {

using namespace testing;

/// Where a datagram to `destination` says it arrived.
std::string destination_seen(const Listener& listener, const SocketAddress& destination) {
    const UniqueFd client{check(::socket(destination.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
    check(static_cast<int>(::sendto(client.get(), "x", 1, 0, destination.data(), destination.size())), "sendto");
    pollfd ready{.fd = listener.fd.get(), .events = POLLIN, .revents = 0};
    check(::poll(&ready, 1, 10'000), "poll");
    alignas(cmsghdr) std::array<char, 256> control{};
    msghdr message{};
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    check(static_cast<int>(::recvmsg(listener.fd.get(), &message, 0)), "recvmsg");
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr; each = CMSG_NXTHDR(&message, each)) {
        if (each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_PKTINFO) {
            in_pktinfo info{};
            std::memcpy(&info, CMSG_DATA(each), sizeof info);
            sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = info.ipi_addr, .sin_zero = {}};
            return SocketAddress{reinterpret_cast<sockaddr*>(&address), sizeof address}.to_endpoint(SOCK_DGRAM).host;
        }
        if (each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_PKTINFO) {
            in6_pktinfo info{};
            std::memcpy(&info, CMSG_DATA(each), sizeof info);
            sockaddr_in6 address{};
            address.sin6_family = AF_INET6;
            address.sin6_addr = info.ipi6_addr;
            return SocketAddress{reinterpret_cast<sockaddr*>(&address), sizeof address}.to_endpoint(SOCK_DGRAM).host;
        }
    }
    return "none";
}

TEST(DatagramDestination, a_udp_socket_tells_to_which_address_a_datagram_came_where_there_are_several) {
    const auto dual = bind_one("udp://:0");
    ASSERT_EQ(dual.size(), 1U);
    EXPECT_EQ(dual[0].local.transport, Transport::Udp);
    EXPECT_EQ(destination_seen(dual[0], numeric("127.0.0.2", dual[0].local.port)), "127.0.0.2");
    EXPECT_EQ(destination_seen(dual[0], numeric("::1", dual[0].local.port)), "::1");
    const auto four = bind_one("udp://0.0.0.0:0");
    EXPECT_EQ(destination_seen(four.at(0), numeric("127.0.0.3", four.at(0).local.port)), "127.0.0.3");
    const auto one = bind_one("udp://127.0.0.1:0");
    EXPECT_EQ(destination_seen(one.at(0), numeric("127.0.0.1", one.at(0).local.port)), "none");
}

}  // namespace
}  // namespace preforkd
