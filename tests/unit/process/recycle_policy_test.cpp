#include "common/process/recycle_policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

namespace preforkd {
namespace {

TEST(RecyclePolicy, without_a_limit_no_worker_retires) {
    for (const int number : {1, 2, 1024}) EXPECT_EQ(requests_before_retiring(0, number), 0u);
}

TEST(RecyclePolicy, every_share_is_within_a_tenth_of_the_limit) {
    for (const std::uint64_t limit : {10u, 11u, 99u, 1000u, 123'456u})
        for (int number = 1; number <= 1024; ++number) {
            const std::uint64_t share = requests_before_retiring(limit, number);
            EXPECT_GE(share, limit - limit / 10) << "worker " << number;
            EXPECT_LE(share, limit + limit / 10) << "worker " << number;
        }
}

TEST(RecyclePolicy, a_small_limit_is_kept_and_at_least_1) {
    for (std::uint64_t limit = 1; limit < 10; ++limit)
        for (int number = 1; number <= 100; ++number) EXPECT_EQ(requests_before_retiring(limit, number), limit);
}

TEST(RecyclePolicy, workers_started_together_retire_apart) {
    for (const int workers : {2, 4, 8, 16, 64}) {
        std::vector<std::uint64_t> shares;
        for (int number = 1; number <= workers; ++number) shares.push_back(requests_before_retiring(10'000, number));
        std::ranges::sort(shares);
        const auto even_gap = 2'000u / static_cast<unsigned>(workers);
        for (std::size_t n = 1; n < shares.size(); ++n)
            EXPECT_GE(shares[n] - shares[n - 1], even_gap / 4) << workers << " workers";
        EXPECT_GE(shares.back() - shares.front(), 2'000u / 4) << workers << " workers";
    }
}

TEST(RecyclePolicy, the_spread_does_not_favour_one_side) {
    std::uint64_t sum = 0;
    for (int number = 1; number <= 1000; ++number) sum += requests_before_retiring(10'000, number);
    EXPECT_NEAR(static_cast<double>(sum) / 1000, 10'000, 20);
}

TEST(RecyclePolicy, a_replacement_has_the_same_share) {
    EXPECT_EQ(requests_before_retiring(10'000, 3), requests_before_retiring(10'000, 3));
}

TEST(RecyclePolicy, the_largest_limit_does_not_overflow_into_an_early_retirement) {
    const auto largest = std::numeric_limits<std::uint64_t>::max();
    for (int number = 1; number <= 1024; ++number)
        EXPECT_GE(requests_before_retiring(largest, number), largest - largest / 10) << number;
}

TEST(RecyclePolicy, a_limit_of_memory_is_never_exceeded_and_less_by_a_tenth_at_most) {
    for (int number = 1; number <= 1024; ++number) {
        EXPECT_EQ(bytes_before_retiring(0, number), 0u);
        EXPECT_LE(bytes_before_retiring(200'000'000, number), 200'000'000u);
        EXPECT_GE(bytes_before_retiring(200'000'000, number), 180'000'000u);
        EXPECT_GE(bytes_before_retiring(1, number), 1u);
    }
    EXPECT_NE(bytes_before_retiring(200'000'000, 1), bytes_before_retiring(200'000'000, 2));
}

}  // namespace
}  // namespace preforkd
