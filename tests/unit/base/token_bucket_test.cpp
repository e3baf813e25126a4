#include "common/base/token_bucket.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

constexpr Clock::time_point start{1h};
constexpr TokenRate rate{.burst = 5, .per_second = 10};

int taken_at(TokenBucket& bucket, Clock::time_point now) {
    int taken = 0;
    while (bucket.take(rate, now)) ++taken;
    return taken;
}

TEST(TokenBucket, a_burst_is_had_at_once_and_the_rate_after_it) {
    TokenBucket bucket;
    EXPECT_EQ(taken_at(bucket, start), 5);
    EXPECT_EQ(taken_at(bucket, start), 0);
    EXPECT_EQ(taken_at(bucket, start + 300ms), 3);
}

TEST(TokenBucket, what_is_not_used_is_kept_up_to_a_burst) {
    TokenBucket bucket;
    EXPECT_EQ(taken_at(bucket, start), 5);
    EXPECT_EQ(taken_at(bucket, start + 1h), 5);
}

TEST(TokenBucket, a_clock_that_was_read_earlier_gives_nothing_twice) {
    TokenBucket bucket;
    EXPECT_EQ(taken_at(bucket, start), 5);
    EXPECT_EQ(taken_at(bucket, start - 1s), 0);
    EXPECT_EQ(taken_at(bucket, start), 0);
}

}  // namespace
}  // namespace preforkd
