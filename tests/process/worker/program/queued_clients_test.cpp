#include "daemon/worker/program/queued_clients.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "common/net/socket_address.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

UniqueFd listen_at_abstract_name() {
    UniqueFd queue{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
    std::snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "preforkd-queued-%d", ::getpid());
    check(::bind(queue.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), "bind");
    check(::listen(queue.get(), 16), "listen");
    return queue;
}

/// Of each kind of socket that has a queue of clients.
class QueuedClients : public ::testing::TestWithParam<Transport> {
protected:
    [[nodiscard]] UniqueFd connect() const { return testing::connect_to(SocketAddress::local_of(queue.get())); }
    [[nodiscard]] UniqueFd accept() const { return UniqueFd{::accept4(queue.get(), nullptr, nullptr, SOCK_CLOEXEC)}; }
    [[nodiscard]] std::vector<std::uint64_t> queued() const {
        const auto clients = queued_clients(queue.get(), GetParam());
        EXPECT_TRUE(clients) << "this kernel does not tell";
        return clients.value_or(std::vector<std::uint64_t>{});
    }

    UniqueFd queue = GetParam() == Transport::Tcp ? testing::listen_on_loopback() : listen_at_abstract_name();
};

TEST_P(QueuedClients, are_those_whom_nobody_has_accepted) {
    EXPECT_EQ(queued().size(), 0u);
    const UniqueFd first = connect();
    testing::comes(queue.get());
    const auto one = queued();
    ASSERT_EQ(one.size(), 1u);
    const UniqueFd second = connect();
    ::shutdown(second.get(), SHUT_WR);  // it still waits for an answer
    const auto both = queued();
    ASSERT_EQ(both.size(), 2u);
    EXPECT_TRUE(all_still_wait(one, both));
    EXPECT_TRUE(all_still_wait(both, queued())) << "nobody has taken any";

    UniqueFd served = accept();
    const UniqueFd third = connect();
    EXPECT_EQ(queued().size(), 2u);
    EXPECT_FALSE(all_still_wait(both, queued())) << "one was taken, although as many wait as before";
    served = {};
    EXPECT_FALSE(all_still_wait(one, queued())) << "whom somebody has served waits no longer";
    const UniqueFd served_too = accept();
    const UniqueFd the_last = accept();
    EXPECT_EQ(queued().size(), 0u);
}

TEST_P(QueuedClients, are_all_told_where_there_are_many) {
    std::vector<UniqueFd> clients;
    for (int n = 0; n < 12; ++n) clients.push_back(connect());
    EXPECT_EQ(queued().size(), clients.size());
}

INSTANTIATE_TEST_SUITE_P(Each, QueuedClients, ::testing::Values(Transport::Tcp, Transport::Unix),
                         [](const auto& each) { return std::string{each.param == Transport::Tcp ? "tcp" : "unix"}; });

TEST(QueuedClient, of_datagrams_and_of_what_is_no_socket_nothing_is_known) {
    const UniqueFd datagrams{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    EXPECT_FALSE(queued_clients(datagrams.get(), Transport::Udp));
    EXPECT_FALSE(queued_clients(-1, Transport::Tcp));
    EXPECT_FALSE(queued_clients(-1, Transport::Unix));
}

}  // namespace
}  // namespace preforkd
