#include "common/base/internet_host.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

bool holds(std::string_view prefix, std::string_view host) {
    return contains(*parse_host_prefix(prefix), parse_host_prefix(host)->first);
}

TEST(HostPrefix, holds_what_begins_as_it_does) {
    EXPECT_TRUE(holds("192.0.2.0/24", "192.0.2.0"));
    EXPECT_TRUE(holds("192.0.2.0/24", "192.0.2.255"));
    EXPECT_FALSE(holds("192.0.2.0/24", "192.0.3.0"));
    EXPECT_TRUE(holds("192.0.2.1", "192.0.2.1"));
    EXPECT_FALSE(holds("192.0.2.1", "192.0.2.2"));
    EXPECT_TRUE(holds("0.0.0.0/0", "255.1.2.3"));
    EXPECT_TRUE(holds("2001:db8::/33", "2001:db8:7fff::1"));
    EXPECT_FALSE(holds("2001:db8::/33", "2001:db8:8000::"));
    EXPECT_TRUE(holds("2001:db8::8/125", "2001:db8::f"));
    EXPECT_FALSE(holds("2001:db8::8/125", "2001:db8::10"));
    EXPECT_TRUE(holds("::/0", "2001:db8::"));
    EXPECT_TRUE(holds("2001:db8:0:1::/64", "2001:db8:0:1:ffff::"));
}

TEST(HostPrefix, an_ipv4_address_is_the_same_mapped_or_not_and_nothing_else) {
    EXPECT_TRUE(holds("192.0.2.0/24", "::ffff:192.0.2.7"));
    EXPECT_TRUE(holds("::ffff:192.0.2.0/120", "192.0.2.7"));
    EXPECT_FALSE(holds("::/0", "192.0.2.7")) << "who admits all of IPv6 has not spoken of IPv4";
    EXPECT_FALSE(holds("0.0.0.0/0", "2001:db8::"));
}

TEST(HostPrefix, is_written_as_it_is_read) {
    for (const char* text : {"192.0.2.0/24", "192.0.2.1", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1"})
        EXPECT_EQ(to_string(*parse_host_prefix(text)), text);
    EXPECT_EQ(to_string(*parse_host_prefix("::ffff:192.0.2.0/120")), "192.0.2.0/24");
    EXPECT_EQ(to_string(*parse_host_prefix("192.0.2.1/32")), "192.0.2.1");
}

TEST(HostPrefix, what_is_none_is_refused) {
    for (const char* text : {"", "/", "/8", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/+8",
                             "192.0.2.0/08x", "192.0.2.1/24", "2001:db8::1/32", "::/129", "192.0.2/24", "[::1]",
                             "localhost", "fe80::1%lo", "192.0.2.0/255.255.255.0", " 192.0.2.0", "192.0.2.0 "})
        EXPECT_FALSE(parse_host_prefix(text)) << text;
}

TEST(HostPrefix, bits_behind_the_length_are_answered_with_what_may_be_meant) {
    EXPECT_EQ(why_no_host_prefix("10.1.2.3/8"),
              "10.1.2.3/8 names a host and a network: write 10.0.0.0/8, or 10.1.2.3 for that host alone");
    EXPECT_EQ(why_no_host_prefix("2001:db8::1/32"),
              "2001:db8::1/32 names a host and a network: write 2001:db8::/32, or 2001:db8::1 for that host alone");
    for (const char* text : {"10.0.0.0/8", "10.1.2.3", "10.1.2.3/33", "", "localhost/8"})
        EXPECT_EQ(why_no_host_prefix(text), "") << text;
}

}  // namespace
}  // namespace preforkd
