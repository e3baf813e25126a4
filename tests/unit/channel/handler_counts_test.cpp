#include "common/channel/handler_counts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "preforkd/counter.hpp"

namespace preforkd {
namespace {

using testing::ElementsAre;
using testing::Pair;

constexpr PlausibleCounts most{.events = 100, .bytes = 1000};

TEST(HandlerCounts, one_name_is_one_number) {
    std::array<HandlerCount, 3> rows{};
    *find_handler_count(rows, "hits") += 2;
    *find_handler_count(rows, "misses") += 1;
    *find_handler_count(rows, "hits") += 3;
    EXPECT_THAT(counts_of(rows, most), ElementsAre(Pair("hits", 5), Pair("misses", 1)));
}

TEST(HandlerCounts, what_finds_no_space_is_told) {
    std::array<HandlerCount, 2> rows{};
    EXPECT_NE(find_handler_count(rows, "one"), nullptr);
    EXPECT_NE(find_handler_count(rows, "two"), nullptr);
    EXPECT_EQ(find_handler_count(rows, "three"), nullptr);
    EXPECT_NE(find_handler_count(rows, "two"), nullptr);
}

TEST(HandlerCounts, two_rows_of_one_name_are_added_up) {
    std::array<HandlerCount, 2> rows{};
    *find_handler_count(std::span{rows}.first(1), "hits") += 2;
    *find_handler_count(std::span{rows}.last(1), "hits") += 3;
    EXPECT_THAT(counts_of(rows, most), ElementsAre(Pair("hits", 5)));
}

TEST(HandlerCounts, what_is_no_name_and_what_cannot_be_is_not_believed) {
    std::array<HandlerCount, 4> rows{};
    for (const std::string_view name : {"a b", "hits_total", ""}) (void)find_handler_count(rows, name);
    *find_handler_count(rows, "hits") = ~std::uint64_t{0};
    EXPECT_THAT(counts_of(rows, most), ElementsAre(Pair("hits", 1000)));
    for (HandlerCount& row : rows)
        for (auto& word : row.words) word = ~std::uint64_t{0};
    EXPECT_THAT(counts_of(rows, most), ElementsAre());
}

TEST(HandlerCounts, who_was_killed_while_it_named_a_row_leaves_nothing) {
    std::array<HandlerCount, 2> rows{};
    rows[0].state = HandlerCount::State::Claimed;
    *find_handler_count(rows, "hits") += 1;
    EXPECT_THAT(counts_of(rows, most), ElementsAre(Pair("hits", 1)));
    EXPECT_EQ(find_handler_count(rows, "misses"), nullptr);
}

TEST(HandlerCounts, names_are_what_a_metric_can_be_called) {
    for (const std::string_view name :
         {"a", "_", "cache_hits2", "total", "aVeryLong_______________________________name_47"})
        EXPECT_TRUE(is_counter_name(name)) << name;
    const std::string long_name(longest_counter_name + 1, 'x');
    for (const std::string_view name : {"", "2a", "a-b", "a b", "a\n", "gr\xc3\xbc", "hits_total", long_name.c_str()})
        EXPECT_FALSE(is_counter_name(name)) << name;
    EXPECT_TRUE(is_counter_name(std::string(longest_counter_name, 'x')));
    EXPECT_THROW(Counter{"a-b"}, std::invalid_argument);
}

TEST(HandlerCounts, elsewhere_than_in_a_worker_nobody_is_counted_for) {
    Counter counter{"hits"};
    counter.add();
    std::array<HandlerCount, 1> rows{};
    use_handler_counts(rows);
    counter.add(4);
    use_handler_counts({});
    EXPECT_THAT(counts_of(rows, most), ElementsAre(Pair("hits", 4)));
}

}  // namespace
}  // namespace preforkd
