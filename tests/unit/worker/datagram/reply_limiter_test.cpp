#include "daemon/worker/datagram/reply_limiter.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

constexpr Clock::time_point start{1000h};
constexpr HostAddress somebody = ipv4_host(0xc0'00'02'01);

int allowed(ReplyLimiter& limiter, const HostAddress& host, Clock::time_point now, int tries) {
    int count = 0;
    while (tries-- > 0) count += limiter.allow(host, now) ? 1 : 0;
    return count;
}

TEST(ReplyLimiter, allows_a_burst_of_two_seconds_worth_and_then_the_rate) {
    ReplyLimiter limiter{1000};
    EXPECT_EQ(allowed(limiter, somebody, start, 5000), 2000);
    EXPECT_EQ(allowed(limiter, somebody, start + 100ms, 5000), 100);
    EXPECT_EQ(allowed(limiter, somebody, start + 100ms, 5000), 0);
    EXPECT_EQ(allowed(limiter, somebody, start + 1h, 5000), 2000);
}

TEST(ReplyLimiter, the_slowest_and_the_fastest_rate_are_kept) {
    ReplyLimiter slow{1};
    EXPECT_EQ(allowed(slow, somebody, start, 10), 2);
    EXPECT_EQ(allowed(slow, somebody, start + 999ms, 10), 0);
    EXPECT_EQ(allowed(slow, somebody, start + 1s, 10), 1);
    ReplyLimiter fast{1'000'000};
    EXPECT_EQ(allowed(fast, somebody, start, 3'000'000), 2'000'000);
}

TEST(ReplyLimiter, each_ipv4_address_has_its_own_bucket) {
    ReplyLimiter limiter{1};
    EXPECT_EQ(allowed(limiter, somebody, start, 10), 2);
    EXPECT_EQ(allowed(limiter, ipv4_host(0xc0'00'02'02), start, 10), 2);
}

TEST(ReplyLimiter, the_hosts_of_one_ipv6_network_share_a_bucket) {
    ReplyLimiter limiter{1};
    EXPECT_EQ(allowed(limiter, {.high = 0x2001'0db8'0000'0001, .low = 1}, start, 10), 2);
    EXPECT_EQ(allowed(limiter, {.high = 0x2001'0db8'0000'0001, .low = 0xffff'0000}, start, 10), 0);
    EXPECT_EQ(allowed(limiter, {.high = 0x2001'0db8'0000'0002, .low = 1}, start, 10), 2);
    EXPECT_EQ(allowed(limiter, {.high = 0, .low = 1}, start, 10), 2) << "::1";
}

TEST(ReplyLimiter, a_flood_of_other_sources_neither_frees_nor_costs_anybody) {
    ReplyLimiter limiter{1000};
    EXPECT_EQ(allowed(limiter, somebody, start, 2000), 2000);
    for (std::uint32_t other = 0; other < 100'000; ++other)
        ASSERT_TRUE(limiter.allow(ipv4_host(0x0a'00'00'00 + other), start)) << "the table is full, not the bucket";
    EXPECT_EQ(allowed(limiter, somebody, start, 10), 0) << "an empty bucket is the last to make way";
}

}  // namespace
}  // namespace preforkd
