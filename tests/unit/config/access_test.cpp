#include "common/config/access.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <stdexcept>
#include <string>
#include <utility>

namespace preforkd {
namespace {

bool admits(const char* allow, const char* deny, const char* host) {
    const auto list = [](const char* text) { return *text == '\0' ? AccessList{} : parse_access_list(text); };
    return AccessTable{list(allow), list(deny)}.admits(parse_host_prefix(host)->first);
}

TEST(Access, the_longest_prefix_decides_and_a_tie_denies) {
    EXPECT_FALSE(admits("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"));
    EXPECT_TRUE(admits("10.0.0.0/8,10.1.2.0/24", "10.1.0.0/16", "10.1.2.3"));
    EXPECT_FALSE(admits("10.0.0.0/8,10.1.2.0/24", "10.1.0.0/16,10.1.2.3", "10.1.2.3"));
    EXPECT_FALSE(admits("10.0.0.0/8", "10.0.0.0/8", "10.1.2.3"));
    EXPECT_TRUE(admits("2001:db8::/32", "2000::/3", "2001:db8::1"));
    EXPECT_FALSE(admits("2000::/3", "2001:db8::/32", "2001:db8::1"));
}

TEST(Access, whom_nothing_names_is_denied_where_somebody_is_allowed_and_admitted_else) {
    EXPECT_FALSE(admits("10.0.0.0/8", "", "192.0.2.1"));
    EXPECT_FALSE(admits("10.0.0.0/8", "10.1.0.0/16", "192.0.2.1"));
    EXPECT_TRUE(admits("", "10.0.0.0/8", "192.0.2.1"));
    EXPECT_FALSE(admits("10.0.0.0/8", "", "::1")) << "the other family is not forgotten";
    EXPECT_FALSE(AccessTable({.users = {0}}, {}).admits_others());
    EXPECT_TRUE(AccessTable({}, {.users = {0}}).admits_others());
}

TEST(Access, all_of_one_family_is_not_all_of_the_other) {
    EXPECT_FALSE(admits("::/0", "", "192.0.2.1"));
    EXPECT_TRUE(admits("::/0,0.0.0.0/0", "", "192.0.2.1"));
    EXPECT_TRUE(admits("", "::/0", "192.0.2.1"));
    EXPECT_FALSE(admits("", "192.0.2.0/24", "::ffff:192.0.2.1"));
}

TEST(Access, users_are_numbers) {
    const AccessTable table{parse_access_list("1000,0"), parse_access_list("0")};
    EXPECT_TRUE(table.admits_user(1000));
    EXPECT_FALSE(table.admits_user(0)) << "a tie denies";
    EXPECT_FALSE(table.admits_user(1));
    EXPECT_TRUE(AccessTable({}, {.users = {7}}).admits_user(8));
}

TEST(Access, many_prefixes_are_each_found) {
    AccessList allow;
    for (std::uint32_t number = 0; number < 10'000; ++number)
        allow.prefixes.push_back({.first = ipv4_host(number << 12), .bits = 96 + 20 + static_cast<int>(number % 13)});
    const AccessTable table{allow, {}};
    for (std::uint32_t number = 0; number < 10'000; ++number) EXPECT_TRUE(table.admits(ipv4_host(number << 12)));
    EXPECT_FALSE(table.admits(ipv4_host(0xffff'ffff)));
}

/// As the man page says it, prefix by prefix.
bool admits_one_by_one(const AccessList& allow, const AccessList& deny, const HostAddress& host) {
    int longest = -1;
    bool admits = allow.empty();
    for (const auto& [list, is_admitted] : {std::pair{&deny, false}, {&allow, true}})
        for (const HostPrefix& prefix : list->prefixes)
            if (prefix.bits > longest && contains(prefix, host)) {
                longest = prefix.bits;
                admits = is_admitted;
            }
    return admits;
}

TEST(Access, prefixes_within_each_other_say_what_each_says_for_itself) {
    std::mt19937_64 random{1};
    // Few addresses, so that prefixes lie in each other, begin and end together; up to both ends of either family.
    const auto some_host = [&] {
        const std::uint64_t bits = random();
        const std::uint64_t ends[]{0, 1, ~std::uint64_t{0}};
        const std::uint64_t low = ends[bits % 3];
        if ((bits & 64) != 0) return ipv4_host(static_cast<std::uint32_t>((bits & 7 << 29) ^ low));
        return HostAddress{.high = ends[bits / 256 % 3], .low = low};
    };
    for (int round = 0; round < 200; ++round) {
        AccessList lists[2];
        for (int count = 0; count < 20; ++count) {
            const HostAddress host = some_host();
            const int least = is_ipv4(host) ? mapped_bits : 0;
            const int bits = least + static_cast<int>(random() % static_cast<unsigned>(129 - least));
            lists[random() % 2].prefixes.push_back({.first = first_of(host, bits), .bits = bits});
        }
        const auto& [allow, deny] = lists;
        const AccessTable table{allow, deny};
        for (int count = 0; count < 200; ++count) {
            const HostAddress host = some_host();
            ASSERT_EQ(table.admits(host), admits_one_by_one(allow, deny, host))
                << to_string(HostPrefix{.first = host}) << " allow=" << to_string(allow) << " deny=" << to_string(deny);
        }
    }
}

TEST(Access, a_list_is_written_as_it_is_read) {
    for (const char* text : {"192.0.2.0/24", "192.0.2.1,2001:db8::/32,@/etc/x/list", "0,1000", "@list"})
        EXPECT_EQ(to_string(parse_access_list(text)), text);
    for (const char* text : {"", ",", "@", "10.0.0.0/8,", "10.0.0.1/8", "name", "-1", "10.0.0.0/8 "})
        EXPECT_THROW((void)parse_access_list(text), std::invalid_argument) << text;
}

TEST(Access, a_file_has_words_and_comments) {
    AccessList list;
    add_access_lines("# those at home\n192.0.2.0/24 2001:db8::1\n\n  1000 # one\r\n\t7", list);
    EXPECT_EQ(to_string(list), "192.0.2.0/24,2001:db8::1,1000,7");
    list = {};
    add_access_lines("# of an old Mac\r192.0.2.1\r192.0.2.2\v192.0.2.3\r\n", list);
    EXPECT_EQ(to_string(list), "192.0.2.1,192.0.2.2,192.0.2.3");
    for (const auto& [bad, sentence] : {std::pair{"10.0.0.1/8", "line 2: 10.0.0.1/8 names a host and a network"},
                                        {"10.0.0.0/33", "line 2: expected an address"}})
        try {
            add_access_lines(std::string{"10.0.0.0/8\r\n"} + bad + "\n", list);
            ADD_FAILURE() << bad;
        } catch (const std::invalid_argument& error) { EXPECT_THAT(error.what(), testing::StartsWith(sentence)); }
}

}  // namespace
}  // namespace preforkd
