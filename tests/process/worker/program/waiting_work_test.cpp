#include "daemon/worker/program/waiting_work.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "common/base/unique_fd.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

/// A bound socket for datagrams, and one that sends to it.
struct Datagrams {
    Datagrams() {
        sockaddr_in loopback{};
        loopback.sin_family = AF_INET;
        loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        check(::bind(queue.get(), reinterpret_cast<const sockaddr*>(&loopback), sizeof loopback), "bind");
        const SocketAddress address = SocketAddress::local_of(queue.get());
        check(::connect(sender.get(), address.data(), address.size()), "connect");
    }

    void come(std::string_view text) const { (void)!::send(sender.get(), text.data(), text.size(), 0); }
    void take() const {
        char byte = 0;
        (void)!::recv(queue.get(), &byte, 1, 0);
    }

    UniqueFd queue{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    UniqueFd sender{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

TEST(WaitingWork, a_datagram_is_seen_and_not_taken_although_the_socket_would_wait) {
    const Datagrams socket;
    WaitingWork found;
    EXPECT_EQ(look_for_work(socket.queue.get(), Transport::Udp, found), EAGAIN);
    socket.come("first");
    ASSERT_EQ(look_for_work(socket.queue.get(), Transport::Udp, found), 0);
    EXPECT_EQ(found.size_bytes, 5u);
    EXPECT_EQ(found.sender, SocketAddress::local_of(socket.sender.get()));
    EXPECT_NE(found.stamp_ns, 0);
    WaitingWork again;
    ASSERT_EQ(look_for_work(socket.queue.get(), Transport::Udp, again), 0);
    EXPECT_EQ(again, found);
}

TEST(WaitingWork, a_datagram_that_is_sent_again_is_another) {
    const Datagrams socket;
    for (int n = 0; n < 4; ++n) socket.come("again");
    WaitingWork before;
    for (int n = 0; n < 4; ++n) {
        WaitingWork found;
        ASSERT_EQ(look_for_work(socket.queue.get(), Transport::Udp, found), 0);
        EXPECT_NE(found, before);
        before = found;
        socket.take();
    }
}

TEST(WaitingWork, who_gets_the_socket_is_told_nothing_that_he_has_not_asked_for) {
    const Datagrams socket;
    socket.come("first");
    WaitingWork found;
    ASSERT_EQ(look_for_work(socket.queue.get(), Transport::Udp, found), 0);
    std::array<std::byte, 256> notes{};
    msghdr header{};
    header.msg_control = notes.data();
    header.msg_controllen = notes.size();
    ASSERT_EQ(::recvmsg(socket.queue.get(), &header, MSG_DONTWAIT), 0);
    EXPECT_EQ(header.msg_controllen, 0u);
}

TEST(WaitingWork, of_connections_it_is_seen_that_there_are_any) {
    const UniqueFd queue = testing::listen_on_loopback();
    WaitingWork found;
    EXPECT_EQ(look_for_work(queue.get(), Transport::Tcp, found), EAGAIN);
    const UniqueFd client = testing::connect_to(SocketAddress::local_of(queue.get()));
    testing::comes(queue.get());
    EXPECT_EQ(look_for_work(queue.get(), Transport::Tcp, found), 0);
    EXPECT_EQ(found, WaitingWork{});
}

}  // namespace
}  // namespace preforkd
