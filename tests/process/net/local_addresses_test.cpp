#include "common/net/local_addresses.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

TEST(LocalAddresses, are_those_of_the_interfaces) {
    LocalAddresses local;
    EXPECT_TRUE(local.contain(ipv4_host(0x7f'00'00'01), Clock::now()));
    EXPECT_FALSE(local.contain(ipv4_host(0xc6'33'64'01), Clock::now())) << "TEST-NET-2: RFC 5737";
}

}  // namespace
}  // namespace preforkd
