#include "common/net/bind_error.hpp"

#include <gtest/gtest.h>
#include <net/if.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "common/net/listener.hpp"

namespace preforkd {
namespace {

std::string failure_of(const std::string& listen) {
    try {
        (void)bind_listeners({{.endpoint = parse_endpoint(listen)}}, std::nullopt);
        return "bound";
    } catch (const OperatorError& error) {
        return std::to_string(static_cast<int>(error.code())) + ": " + error.what();
    }
}

bool has_ipv6() { return ::access("/proc/net/if_inet6", F_OK) == 0; }

TEST(BindError, an_interface_that_is_not_there_may_come) {
    const std::string by_name = failure_of("tcp://[fe80::1%nosuch0]:0");
    EXPECT_EQ(by_name,
              "71: --listen tcp://[fe80::1%nosuch0]:0: there is no interface nosuch0: bring it up first, or name "
              "another (`ip address` shows them)");
    EXPECT_TRUE(failure_of("udp://[ff02::1%nosuch0]:0").starts_with("71: "));
    EXPECT_TRUE(failure_of("tcp://[2001:db8::1%nosuch0]:0").starts_with("78: ")) << "no address of a link";

    if (!has_ipv6()) GTEST_SKIP() << "this machine has no IPv6";
    const std::string by_number = failure_of("tcp://[fe80::1%987654]:0");
    EXPECT_TRUE(by_number.starts_with("71: --listen tcp://[fe80::1%987654]:0: ")) << by_number;
    EXPECT_NE(by_number.find("there is no interface 987654"), std::string::npos) << by_number;
}

TEST(BindError, a_link_local_address_without_its_interface_suggests_one) {
    if (!has_ipv6()) GTEST_SKIP() << "this machine has no IPv6";
    const std::string of_nobody = failure_of("tcp://[fe80::fedc:1]:0");
    EXPECT_TRUE(of_nobody.starts_with("78: --listen tcp://[fe80::fedc:1]:0: ")) << of_nobody;
    EXPECT_NE(of_nobody.find("write [fe80::fedc:1%eth0]"), std::string::npos) << of_nobody;
}

}  // namespace
}  // namespace preforkd
