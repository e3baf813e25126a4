#include "common/channel/shared_rows.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace preforkd {
namespace {

using Rows = std::array<SharedRow, 8>;

const SharedName hits{.name = "hits", .bytes = 8, .version = 1};

TEST(SharedRows, an_object_has_one_row) {
    Rows rows;
    const auto first = find_shared_row(rows, hits, 1);
    ASSERT_TRUE(first);
    EXPECT_EQ(find_shared_row(rows, hits, 1)->index, first->index);
    EXPECT_EQ(rows[first->index].name(), "hits");
    EXPECT_NE(find_shared_row(rows, {.name = "misses", .bytes = 8, .version = 1}, 1)->index, first->index);
}

TEST(SharedRows, another_size_or_version_is_another_object_and_tells_of_the_one_before) {
    Rows rows;
    const std::size_t first = find_shared_row(rows, hits, 1)->index;
    EXPECT_FALSE(find_shared_row(rows, hits, 2)->before);
    const auto larger = find_shared_row(rows, {.name = "hits", .bytes = 16, .version = 1}, 2);
    EXPECT_NE(larger->index, first);
    EXPECT_EQ(larger->before, first);
    const auto newer = find_shared_row(rows, {.name = "hits", .bytes = 8, .version = 2}, 2);
    EXPECT_NE(newer->index, first);
    EXPECT_TRUE(newer->before);
    EXPECT_FALSE(find_shared_row(rows, {.name = "hits", .bytes = 8, .version = 2}, 2)->before) << "that is told once";
}

TEST(SharedRows, when_all_are_taken_there_is_none) {
    Rows rows;
    std::set<std::size_t> taken;
    for (std::uint32_t version = 0; version < rows.size(); ++version)
        taken.insert(find_shared_row(rows, {.name = "hits", .bytes = 8, .version = version}, 1)->index);
    EXPECT_EQ(taken.size(), rows.size());
    EXPECT_FALSE(find_shared_row(rows, {.name = "misses", .bytes = 8, .version = 0}, 1));
    EXPECT_TRUE(find_shared_row(rows, {.name = "hits", .bytes = 8, .version = 0}, 1));
}

TEST(SharedRows, those_who_ask_at_once_get_the_same) {
    for (int round = 0; round < 200; ++round) {
        Rows rows;
        std::array<std::size_t, 4> got{};
        std::vector<std::jthread> threads;
        for (std::size_t& each : got)
            threads.emplace_back([&] { each = find_shared_row(rows, hits, 1).value_or(FoundRow{99}).index; });
        threads.clear();
        EXPECT_EQ(std::set<std::size_t>(got.begin(), got.end()).size(), 1U);
    }
}

TEST(SharedRows, one_whose_first_user_was_killed_in_the_middle_is_completed_by_the_next) {
    Rows rows;
    const std::size_t index = find_shared_row(rows, hits, 3)->index;
    rows[index].generation = rows[index].bytes = 0;  // as after the exchange of the key
    for (auto& word : rows[index].words) word = 0;
    EXPECT_FALSE(is_superseded(rows, index, 9)) << "its user may be at work on it";
    EXPECT_EQ(find_shared_row(rows, hits, 4)->index, index);
    EXPECT_EQ(rows[index].name(), "hits");
    EXPECT_EQ(rows[index].generation, 4U);
    EXPECT_EQ(rows[index].bytes, 8U);
}

TEST(SharedRows, what_only_older_generations_have_is_superseded_once_a_later_one_has_another) {
    Rows rows;
    const std::size_t old = find_shared_row(rows, hits, 1)->index;
    EXPECT_FALSE(is_superseded(rows, old, 2)) << "nobody has asked for it yet, nor for another";
    const std::size_t recent = find_shared_row(rows, {.name = "hits", .bytes = 8, .version = 2}, 2)->index;
    EXPECT_FALSE(is_superseded(rows, old, 1)) << "a worker of generation 1 lives";
    EXPECT_TRUE(is_superseded(rows, old, 2));
    EXPECT_FALSE(is_superseded(rows, recent, 2));
    (void)find_shared_row(rows, hits, 2);
    EXPECT_FALSE(is_superseded(rows, old, 2)) << "a worker of generation 2 has both";
}

}  // namespace
}  // namespace preforkd
