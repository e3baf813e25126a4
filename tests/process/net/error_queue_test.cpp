#include "common/net/error_queue.hpp"

#include <gtest/gtest.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "common/base/sys_error.hpp"
#include "common/base/unique_fd.hpp"

namespace preforkd {
namespace {

bool has(int socket, short event) {
    pollfd watched{.fd = socket, .events = event, .revents = 0};
    return ::poll(&watched, 1, 0) == 1 && (watched.revents & event) != 0;
}

TEST(ErrorQueueTest, is_emptied_of_all_that_is_in_it_and_of_no_datagram) {
    const UniqueFd socket{check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "open a socket")};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size), "bind");
    check(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), "ask for the address");
    const unsigned stamps = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    check(::setsockopt(socket.get(), SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps), "ask for times");
    for (int sent = 0; sent < 100; ++sent)
        ASSERT_EQ(::sendto(socket.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&address), size), 1);
    ASSERT_TRUE(has(socket.get(), POLLERR));

    empty_error_queue(socket.get());

    EXPECT_FALSE(has(socket.get(), POLLERR));
    EXPECT_TRUE(has(socket.get(), POLLIN));
}

TEST(ErrorQueueTest, of_a_unix_socket_there_is_none_and_its_datagrams_stay) {
    int ends[2] = {};
    check(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), "open sockets");
    const UniqueFd here{ends[0]};
    const UniqueFd there{ends[1]};
    ASSERT_EQ(::send(here.get(), "x", 1, 0), 1);
    empty_error_queue(there.get());
    EXPECT_TRUE(has(there.get(), POLLIN));
}

}  // namespace
}  // namespace preforkd
