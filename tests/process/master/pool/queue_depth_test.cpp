#include "daemon/master/pool/queue_depth.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

Listener listener_at(const std::string& endpoint) {
    std::vector<Listener> bound =
        bind_listeners({ListenSettings{.endpoint = parse_endpoint(endpoint), .backlog = 7}}, {});
    return std::move(bound.at(0));
}

std::string abstract_name() { return "@preforkd-queue-" + std::to_string(::getpid()); }

TEST(QueueDepth, of_tcp_it_is_who_waits_to_be_accepted) {
    const Listener listener = listener_at("tcp://127.0.0.1:0");
    const SocketAddress where = SocketAddress::local_of(listener.fd.get());
    EXPECT_EQ(queue_depth(listener).queued, 0U);
    const UniqueFd first = testing::connect_to(where);
    const UniqueFd second = testing::connect_to(where);
    const QueueDepth depth = queue_depth(listener);
    EXPECT_EQ(depth.queued, 2U);
    EXPECT_EQ(depth.limit, 7U);
    EXPECT_FALSE(depth.in_bytes);
}

TEST(QueueDepth, of_a_unix_stream_it_is_the_same_where_the_kernel_tells) {
    const Listener listener = listener_at("unix://" + abstract_name());
    if (!queue_depth(listener).limit) GTEST_SKIP() << "this kernel has no unix_diag";
    const UniqueFd client = testing::connect_to(SocketAddress::local_of(listener.fd.get()));
    const QueueDepth depth = queue_depth(listener);
    EXPECT_EQ(depth.queued, 1U);
    EXPECT_EQ(depth.limit, 7U);
}

TEST(QueueDepth, of_udp_it_is_bytes) {
    const Listener listener = listener_at("udp://127.0.0.1:0");
    EXPECT_EQ(queue_depth(listener).queued, 0U);
    const SocketAddress where = SocketAddress::local_of(listener.fd.get());
    const UniqueFd sender{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ASSERT_EQ(::sendto(sender.get(), "hello", 5, 0, where.data(), where.size()), 5);
    const QueueDepth depth = queue_depth(listener);
    EXPECT_TRUE(depth.in_bytes);
    EXPECT_GE(depth.queued, 5U) << "with what the kernel needs beside the five bytes";
    EXPECT_GE(depth.limit, depth.queued);
}

TEST(QueueDepth, of_unix_datagrams_nothing_is_told) {
    const QueueDepth depth = queue_depth(listener_at("unixgram://" + abstract_name()));
    EXPECT_FALSE(depth.queued || depth.limit);
}

TEST(QueueDepth, of_a_socket_that_is_closed_nothing_is_told) {
    Listener listener = listener_at("tcp://127.0.0.1:0");
    listener.fd = {};
    EXPECT_FALSE(queue_depth(listener).queued);
}

}  // namespace
}  // namespace preforkd
