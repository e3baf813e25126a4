#include "common/net/host_address.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

HostAddress host(const char* text) {
    return *host_address_of(resolve({.transport = Transport::Udp, .host = text, .port = 1}).at(0));
}

TEST(HostAddress, an_ipv4_address_is_the_same_mapped_or_not) {
    EXPECT_EQ(host("192.0.2.7"), ipv4_host(0xc0'00'02'07));
    EXPECT_EQ(host("::ffff:192.0.2.7"), ipv4_host(0xc0'00'02'07));
    EXPECT_TRUE(is_ipv4(host("::ffff:192.0.2.7")));
    EXPECT_FALSE(is_ipv4(host("2001:db8::1")));
    EXPECT_EQ(host("2001:db8::1"), (HostAddress{.high = 0x2001'0db8'0000'0000, .low = 1}));
}

TEST(HostAddress, of_a_unix_address_there_is_none) {
    EXPECT_FALSE(host_address_of(resolve({.transport = Transport::UnixDatagram, .path = "/x"}).at(0)));
    EXPECT_FALSE(host_address_of(SocketAddress{}));
}

TEST(HostAddress, loopback_is_127_and_one) {
    for (const char* text : {"127.0.0.1", "127.255.0.3", "::1", "::ffff:127.0.0.1"})
        EXPECT_TRUE(is_loopback(host(text))) << text;
    for (const char* text : {"128.0.0.1", "0.0.0.1", "::", "::2", "fe80::1"})
        EXPECT_FALSE(is_loopback(host(text))) << text;
}

TEST(HostAddress, broadcast_multicast_and_nothing_name_no_single_host) {
    for (const char* text : {"0.0.0.0", "255.255.255.255", "224.0.0.1", "239.255.255.255", "::", "ff02::1",
                             "::ffff:224.0.0.251", "::ffff:0.0.0.0"})
        EXPECT_FALSE(names_one_host(host(text))) << text;
    for (const char* text : {"10.0.0.1", "223.255.255.255", "240.0.0.1", "255.255.255.254", "::1", "fe80::1",
                             "2001:db8::", "::ffff:10.0.0.1"})
        EXPECT_TRUE(names_one_host(host(text))) << text;
}

}  // namespace
}  // namespace preforkd
