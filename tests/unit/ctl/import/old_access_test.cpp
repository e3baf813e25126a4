#include "daemon/ctl/import/old_access.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/ctl/import/imported.hpp"

namespace preforkd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> read(const std::string& word) {
    std::vector<std::string> prefixes;
    for (const HostPrefix& prefix : read_old_address(word, known_network)) prefixes.push_back(to_string(prefix));
    return prefixes;
}

TEST(OldAccess, zeros_at_the_end_are_any_number) {
    EXPECT_THAT(read("128.138.12.7"), ElementsAre("128.138.12.7"));
    EXPECT_THAT(read("128.138.12.0"), ElementsAre("128.138.12.0/24"));
    EXPECT_THAT(read("128.138.0.0"), ElementsAre("128.138.0.0/16"));
    EXPECT_THAT(read("10.0.0.0"), ElementsAre("10.0.0.0/8"));
    EXPECT_THAT(read("10.0.0.1"), ElementsAre("10.0.0.1"));
    EXPECT_THAT(read("0.0.0.0"), ElementsAre("0.0.0.0/0"));
    EXPECT_THAT(read("::"), ElementsAre("::/0"));
    EXPECT_THAT(read("2001:db8::"), ElementsAre("2001:db8::"));
}

TEST(OldAccess, a_prefix_may_have_bits_behind_its_length) {
    EXPECT_THAT(read("192.0.2.7/24"), ElementsAre("192.0.2.0/24"));
    EXPECT_THAT(read("192.0.2.0/32"), ElementsAre("192.0.2.0"));
    EXPECT_THAT(read("0.0.0.0/0"), ElementsAre("0.0.0.0/0"));
    EXPECT_THAT(read("2001:db8::7/32"), ElementsAre("2001:db8::/32"));
    EXPECT_THAT(read("192.0.2.0/33"), IsEmpty());
    EXPECT_THAT(read("192.0.2.0/255.255.255.0"), IsEmpty());
}

TEST(OldAccess, braces_hold_several_last_numbers) {
    EXPECT_THAT(read("192.0.2.{1,20}"), ElementsAre("192.0.2.1", "192.0.2.20"));
    EXPECT_THAT(read("128.138.{12,13}"), ElementsAre("128.138.12.0/24", "128.138.13.0/24"));
    for (const char* const word : {"{1,2}", "1.2.3.4.{5}", "1.2.{3", "1.2.{300}", "1.2.{}", "1.2.3{4}"})
        EXPECT_THAT(read(word), IsEmpty()) << word;
}

TEST(OldAccess, a_name_is_a_networks_or_this_machines) {
    EXPECT_THAT(read("campus"), ElementsAre("128.138.0.0/16"));
    EXPECT_THAT(read("localhost"), ElementsAre("127.0.0.1", "::1"));
    EXPECT_THAT(read("host.example.org"), IsEmpty());
    EXPECT_THAT(read(".example.org"), IsEmpty());
    EXPECT_THAT(read("192.0.2"), IsEmpty());
}

}  // namespace
}  // namespace preforkd
