#include "common/channel/listener_counts.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <limits>

#include "common/channel/errno_counts.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;

TEST(Histogram, a_duration_is_in_the_first_bucket_whose_bound_it_does_not_exceed) {
    EXPECT_EQ(bucket_of(0ns), 0U);
    EXPECT_EQ(bucket_of(-1s), 0U) << "by a clock that was set";
    for (std::size_t bucket = 0; bucket < histogram_bounds.size(); ++bucket) {
        EXPECT_EQ(bucket_of(histogram_bounds[bucket]), bucket);
        EXPECT_EQ(bucket_of(histogram_bounds[bucket] + 1ns), bucket + 1);
    }
    EXPECT_EQ(bucket_of(24h), histogram_buckets - 1);
    EXPECT_EQ(histogram_bounds.front(), 100us);
    EXPECT_EQ(histogram_bounds.back(), 60s);
}

TEST(Histogram, shared_or_not_it_counts_alike) {
    SharedHistogram shared;
    SharedHistogram other;
    HistogramCounts plain;
    for (const std::chrono::nanoseconds duration : {50us, 99us, 3000us, 61'000'000us}) {
        shared.add(duration, Writers::One);
        other.add(duration, Writers::Many);
        plain.add(duration);
    }
    const PlausibleCounts any = plausible_for(1h);
    EXPECT_EQ(counts_of(shared, any), plain);
    EXPECT_EQ(plain.count(), 4U);
    EXPECT_EQ(plain.sum_us, 61'003'149U);
    shared.add(other, Writers::Many);
    combine(plain, HistogramCounts{plain}, sum_of);
    EXPECT_EQ(counts_of(shared, any), plain);
}

TEST(Histogram, most_are_below_a_bound) {
    HistogramCounts histogram;
    EXPECT_EQ(bound_of(histogram, 0.5), 0ns);
    for (int n = 0; n < 99; ++n) histogram.add(200us);
    histogram.add(2min);
    EXPECT_EQ(bound_of(histogram, 0.5), 250us);
    EXPECT_EQ(bound_of(histogram, 0.99), 250us);
    EXPECT_EQ(bound_of(histogram, 1), std::chrono::nanoseconds::max());
}

constexpr std::int64_t stretch_ns = std::int64_t{1} << OpenConnections::stretch_bits;
constexpr std::uint64_t one_fewer = ~std::uint64_t{0};

TEST(OpenConnections, the_most_is_told_for_a_minute_and_then_what_is_open) {
    OpenConnections open;
    std::int64_t now = 7 * stretch_ns + 5;
    for (int n = 0; n < 3; ++n) open.change(1, now);
    for (int n = 0; n < 2; ++n) open.change(one_fewer, now);
    EXPECT_EQ(open.now, 1U);
    EXPECT_EQ(open.most_at(now).lately(), 3U);
    EXPECT_EQ(open.most_at(now + stretch_ns).lately(), 3U);
    EXPECT_EQ(open.most_at(now + 2 * stretch_ns).lately(), 1U);

    now += stretch_ns;
    open.change(1, now);
    EXPECT_EQ(open.most_at(now).lately(), 3U) << "of the stretch before";
    EXPECT_EQ(open.most_at(now + stretch_ns).lately(), 2U);
}

TEST(OpenConnections, who_came_long_ago_counts_for_the_most_of_now) {
    OpenConnections open;
    for (int n = 0; n < 4; ++n) open.change(1, 0);
    const std::int64_t later = 10 * stretch_ns;
    open.change(one_fewer, later);
    EXPECT_EQ(open.now, 3U);
    EXPECT_EQ(open.most_at(later).lately(), 4U);
}

TEST(ListenerCounts, listeners_behind_the_last_that_is_counted_share_a_row) {
    EXPECT_EQ(row_of_listener(0), 0U);
    EXPECT_EQ(row_of_listener(63), 63U);
    EXPECT_EQ(row_of_listener(64), 64U);
    EXPECT_EQ(row_of_listener(500), 64U);
    EXPECT_EQ(rows_for(1), 1U);
    EXPECT_EQ(rows_for(500), 65U);
}

TEST(ListenerCounts, a_row_is_read_number_by_number) {
    ListenerRow row;
    row.accepted = 9;
    row.traffic.received = 10;
    row.traffic.sent = 11;
    for (std::size_t outcome = 0; outcome < connection_outcomes; ++outcome) row.closed[outcome] = outcome + 1;
    row.duration.add(1ms, Writers::One);
    row.accept_wait.add(1s, Writers::One);
    row.program_starts = 12;
    row.program_pause_ms = 13;
    ListenerCounts expected{.accepted = 9, .received_bytes = 10, .sent_bytes = 11, .closed = {1, 2, 3, 4, 5, 6, 7, 8}};
    expected.duration.add(1ms);
    expected.accept_wait.add(1s);
    expected.program_starts = 12;
    EXPECT_EQ(counts_of(row, plausible_for(0s)), expected);
    EXPECT_EQ(program_pause(row), 13ms);
    row.program_pause_ms = std::numeric_limits<std::uint64_t>::max();
    EXPECT_EQ(program_pause(row), 1h) << "whatever a worker has written there";
}

TEST(ListenerCounts, what_a_worker_writes_is_no_more_than_it_can_have_counted) {
    constexpr auto any = std::numeric_limits<std::uint64_t>::max();
    ListenerRow row;
    row.accepted = row.traffic.sent = row.closed[0] = row.duration.buckets[3] = row.duration.sum_us = any;
    const PlausibleCounts recent = plausible_for(1s);
    const ListenerCounts counts = counts_of(row, recent);
    EXPECT_EQ(counts.accepted, recent.events);
    EXPECT_EQ(counts.sent_bytes, recent.bytes);
    EXPECT_EQ(counts.closed[0], recent.events);
    EXPECT_EQ(counts.duration.buckets[3], recent.events);
    EXPECT_EQ(counts.duration.sum_us, recent.busy_us);
    EXPECT_LT(recent.bytes, std::uint64_t{1} << 40);

    const PlausibleCounts old = plausible_for(std::chrono::hours{24 * 365 * 50});
    EXPECT_GT(old.bytes, recent.bytes);
    EXPECT_GT(old.busy_us, recent.busy_us) << "no overflow";
    EXPECT_EQ(plausible_for(-1h).events, plausible_for(0s).events);
}

TEST(ListenerCounts, they_are_added_up_or_the_larger_is_kept) {
    ListenerCounts counts{.accepted = 5, .closed = {1, 9}, .duration = {.buckets = {4}, .sum_us = 1}};
    const ListenerCounts other{.accepted = 3, .closed = {2, 1}, .duration = {.buckets = {6}, .sum_us = 2}};
    ListenerCounts larger = counts;
    combine(counts, other, sum_of);
    EXPECT_EQ(counts, (ListenerCounts{.accepted = 8, .closed = {3, 10}, .duration = {.buckets = {10}, .sum_us = 3}}));
    combine(larger, other, larger_of);
    EXPECT_EQ(larger, (ListenerCounts{.accepted = 5, .closed = {2, 9}, .duration = {.buckets = {6}, .sum_us = 2}}));
    EXPECT_EQ(sum_of(~std::uint64_t{0}, 2), ~std::uint64_t{0}) << "never less than before";
}

TEST(ErrnoCounts, each_error_has_a_number) {
    ErrnoCounts counts;
    EXPECT_TRUE(counts.read(100).empty());
    for (const int error : {EMFILE, ECONNABORTED, EMFILE, ENFILE, EMFILE}) counts.add(error);
    EXPECT_EQ(counts.read(100), (std::map<int, std::uint64_t>{{EMFILE, 3}, {ECONNABORTED, 1}, {ENFILE, 1}}));
    EXPECT_EQ(counts.read(2).at(EMFILE), 2U) << "no more than is plausible";
}

TEST(ErrnoCounts, those_that_find_no_word_are_not_counted) {
    ErrnoCounts counts;
    for (int error = 1; error <= 40; ++error) counts.add(error);
    EXPECT_EQ(counts.read(100).size(), 16U);
}

}  // namespace
}  // namespace preforkd
