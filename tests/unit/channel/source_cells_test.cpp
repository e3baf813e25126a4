#include "common/channel/source_cells.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr SourceHashKey key{.first = 0x0123'4567'89ab'cdef, .second = 0xfedc'ba98'7654'3210};
constexpr std::uint32_t local = 0x7f00'0001;

/// Of which the pages that nobody touches take no memory, as in the real one.
class Memory {
public:
    [[nodiscard]] std::span<std::uint64_t> words() const { return {words_.get(), SourceCells::size_words()}; }

private:
    struct Free {
        void operator()(std::uint64_t* words) const { std::free(words); }
    };
    std::unique_ptr<std::uint64_t, Free> words_{
        static_cast<std::uint64_t*>(std::calloc(SourceCells::size_words(), sizeof(std::uint64_t)))};
};

class SourceCellsTest : public testing::Test {
protected:
    SourceCellsTest() {
        for (const SourceCells::Column column : {0u, 1u, 40u}) cells_.open_column(column);
    }

    [[nodiscard]] bool enters(SourceCells::Column column, const Source& source, SourceQuota quota = {.at_once = 2}) {
        const auto entered = cells_.enter(column, source, quota, now_);
        last_row_ = entered.row;
        return !entered.refused;
    }

    static Source host(std::uint32_t number) { return source_of(ipv4_host(number), {}); }

    Memory memory_{};
    SourceCells cells_{memory_.words(), key};
    std::chrono::nanoseconds now_{1h};
    std::uint32_t last_row_ = 0;
};

TEST_F(SourceCellsTest, a_limit_is_for_all_columns_together) {
    EXPECT_TRUE(enters(0, host(local)));
    EXPECT_TRUE(enters(40, host(local)));
    EXPECT_FALSE(enters(1, host(local)));
    EXPECT_TRUE(enters(1, host(local + 1))) << "another source is not affected";
}

TEST_F(SourceCellsTest, who_leaves_makes_place) {
    EXPECT_TRUE(enters(0, host(local)));
    EXPECT_TRUE(enters(1, host(local)));
    cells_.leave(1, last_row_);
    EXPECT_TRUE(enters(40, host(local)));
    EXPECT_FALSE(enters(0, host(local)));
}

TEST_F(SourceCellsTest, what_a_dead_worker_held_is_given_back_and_nothing_else) {
    EXPECT_TRUE(enters(0, host(local)));
    EXPECT_TRUE(enters(1, host(local)));
    EXPECT_TRUE(cells_.enter_listener(0, 1));
    cells_.clear_column(0);
    EXPECT_TRUE(enters(40, host(local)));
    EXPECT_FALSE(enters(40, host(local))) << "that of column 1 is there";
    EXPECT_TRUE(cells_.enter_listener(1, 1));
}

TEST_F(SourceCellsTest, the_limit_of_a_listener_is_for_all_its_columns) {
    EXPECT_TRUE(cells_.enter_listener(0, 2));
    EXPECT_TRUE(cells_.enter_listener(40, 2));
    EXPECT_FALSE(cells_.enter_listener(1, 2));
    EXPECT_EQ(cells_.clients(), 2u);
    cells_.leave_listener(0);
    EXPECT_TRUE(cells_.enter_listener(1, 2));
}

TEST_F(SourceCellsTest, a_rate_lets_as_many_in_at_once_and_then_one_for_each_part_of_a_second) {
    const SourceQuota five{.per_second = 5};
    for (int n = 0; n < 5; ++n) EXPECT_TRUE(enters(0, host(local), five));
    EXPECT_FALSE(enters(1, host(local), five)) << "for all columns together";
    EXPECT_TRUE(enters(0, host(local + 1), five));
    now_ += 200ms;
    EXPECT_TRUE(enters(1, host(local), five));
    EXPECT_FALSE(enters(1, host(local), five));
    now_ += 1s;
    for (int n = 0; n < 5; ++n) EXPECT_TRUE(enters(0, host(local), five));
    EXPECT_FALSE(enters(0, host(local), five));
}

TEST_F(SourceCellsTest, a_rate_may_have_a_reserve) {
    const SourceQuota five{.per_second = 5, .burst = 10};
    for (int n = 0; n < 10; ++n) EXPECT_TRUE(enters(0, host(local), five));
    EXPECT_FALSE(enters(1, host(local), five));
    now_ += 1s;
    for (int n = 0; n < 5; ++n) EXPECT_TRUE(enters(0, host(local), five));
    EXPECT_FALSE(enters(0, host(local), five));
}

TEST_F(SourceCellsTest, who_is_gone_at_once_takes_a_token_and_no_place) {
    const SourceQuota two{.per_second = 2};
    EXPECT_EQ(cells_.spend(0, host(local), two, now_), std::nullopt);
    EXPECT_EQ(cells_.spend(40, host(local), two, now_), std::nullopt);
    EXPECT_EQ(cells_.spend(1, host(local), two, now_), RefusalReason::Rate) << "for all columns together";
    EXPECT_EQ(cells_.spend(1, host(local + 1), two, now_), std::nullopt);
    now_ += 500ms;
    EXPECT_EQ(cells_.spend(1, host(local), two, now_), std::nullopt);
    const std::vector<ListedSource> listed = cells_.top_sources(20);
    ASSERT_EQ(listed.size(), 1u);
    EXPECT_EQ(listed[0].at_once, 0u);
    EXPECT_EQ(listed[0].refused, 1u);
}

TEST_F(SourceCellsTest, a_flood_of_sources_that_come_once_frees_nobody_who_has_spent_all) {
    const SourceQuota slow{.per_second = 1, .burst = 2};
    for (int n = 0; n < 2; ++n) EXPECT_EQ(cells_.spend(0, host(local), slow, now_), std::nullopt);
    for (std::uint32_t n = 1; n < 3 * SourceCells::rows; ++n)
        EXPECT_EQ(cells_.spend(1, host(local + n), slow, now_), std::nullopt);
    EXPECT_EQ(cells_.spend(0, host(local), slow, now_), RefusalReason::Rate) << "it has the most to remember";
}

TEST_F(SourceCellsTest, who_is_refused_for_his_number_has_no_part_in_the_rate) {
    const SourceQuota quota{.at_once = 1, .per_second = 2};
    EXPECT_TRUE(enters(0, host(local), quota));
    const std::uint32_t row = last_row_;
    for (int n = 0; n < 9; ++n) EXPECT_FALSE(enters(1, host(local), quota));
    cells_.leave(0, row);
    EXPECT_TRUE(enters(1, host(local), quota));
}

TEST_F(SourceCellsTest, a_prefix_is_one_source_and_a_user_is_none_of_them) {
    const auto of = [](const char* text, const SourcePrefix& prefix = {}) {
        return source_of(parse_host_prefix(text)->first, prefix);
    };
    EXPECT_EQ(of("2001:db8::1"), of("2001:db8::ffff:1"));
    EXPECT_NE(of("2001:db8::1"), of("2001:db8:0:1::1"));
    EXPECT_NE(of("192.0.2.1"), of("192.0.2.2"));
    EXPECT_EQ(of("192.0.2.1", {.ipv4_bits = 24}), of("192.0.2.2", {.ipv4_bits = 24}));
    EXPECT_EQ(to_string(of("2001:db8::1")), "2001:db8::/64");
    EXPECT_EQ(to_string(of("192.0.2.1")), "192.0.2.1");
    EXPECT_EQ(to_string(source_of_user(1000)), "user 1000");
    EXPECT_EQ(to_string(Source{}), "unknown");
}

TEST_F(SourceCellsTest, a_full_set_admits_and_counts_nobody_twice) {
    std::vector<std::uint32_t> rows;
    for (std::uint32_t n = 0; n < 4 * SourceCells::rows; ++n) {
        EXPECT_TRUE(enters(0, host(n)));
        if (last_row_ != SourceCells::no_row) rows.push_back(last_row_);
    }
    EXPECT_EQ(rows.size(), std::size_t{SourceCells::rows});
    std::ranges::sort(rows);
    EXPECT_EQ(std::ranges::adjacent_find(rows), rows.end());
    for (const std::uint32_t row : rows) cells_.leave(0, row);
    for (std::uint32_t n = 0; n < 9; ++n) {
        EXPECT_TRUE(enters(1, host(5 * SourceCells::rows + n)));
        EXPECT_NE(last_row_, SourceCells::no_row) << "those of who has gone are taken again";
    }
}

TEST_F(SourceCellsTest, a_mark_that_a_killed_worker_left_keeps_nobody_out) {
    EXPECT_TRUE(enters(0, host(local), {.at_once = 1}));
    const std::uint32_t row = last_row_;
    memory_.words()[source_layout::keys + row] |= 41;  // column 40, in the middle of it
    memory_.words()[source_layout::set_words + row / source_layout::set_rows] = 41;
    EXPECT_FALSE(enters(1, host(local), {.at_once = 1})) << "it is the same row";
    cells_.leave(0, row);
    EXPECT_TRUE(enters(1, host(local), {.at_once = 1}));
    EXPECT_EQ(last_row_, row);
    for (std::uint32_t n = 1; n < 4096; ++n) EXPECT_TRUE(enters(1, host(local + n)));
}

TEST_F(SourceCellsTest, the_top_sources_are_those_with_the_most_clients_then_those_refused_most) {
    for (std::uint32_t n = 0; n < 5; ++n)
        for (std::uint32_t times = 0; times <= n; ++times) EXPECT_TRUE(enters(0, host(local + n), {}));
    EXPECT_TRUE(enters(0, source_of_user(1), {.per_second = 1}));
    cells_.leave(0, last_row_);
    EXPECT_FALSE(enters(0, source_of_user(1), {.per_second = 1}));
    const std::vector<ListedSource> top = cells_.top_sources(3);
    ASSERT_EQ(top.size(), 3u);
    EXPECT_EQ(top[0].source, host(local + 4));
    EXPECT_EQ(top[0].at_once, 5u);
    EXPECT_EQ(top[2].at_once, 3u);
    const ListedSource last = cells_.top_sources(20).back();
    EXPECT_EQ(last.source, source_of_user(1));
    EXPECT_EQ(last.at_once, 0u);
    EXPECT_EQ(last.refused, 1u);
    cells_.note_refusal(RefusalReason::Denied);
    EXPECT_THAT(cells_.refusals(), ElementsAre(1, 0, 1));
}

TEST_F(SourceCellsTest, whatever_the_memory_holds_nothing_beside_it_is_read) {
    std::uint64_t junk = 88172645463325252;
    for (int round = 0; round < 6; ++round) {
        for (std::size_t index = 0; index < source_layout::counts + 8 * SourceCells::rows; ++index) {
            junk ^= junk << 13, junk ^= junk >> 7, junk ^= junk << 17;
            memory_.words()[index] = round == 0 ? ~std::uint64_t{0} : junk >> (junk & 31);
        }
        (void)cells_.top_sources(20);
        (void)cells_.clients();
        (void)enters(1, host(local), {.at_once = 3, .per_second = 4});
        cells_.leave(1, last_row_);
        cells_.open_column(2);
        cells_.clear_column(2);
    }
}

// By another implementation, which gives what the paper has for SipHash-2-4.
static_assert(hash_of({.high = 1, .low = 2, .kind = 3}, key) == 0xabba'c68a'4c6e'0c41);

TEST(Source, its_hash_depends_on_the_key_and_every_word) {
    const Source source{.high = 1, .low = 2, .kind = 3};
    const std::uint64_t hash = hash_of(source, key);
    EXPECT_NE(hash, hash_of(source, {.first = key.first, .second = key.second + 1}));
    EXPECT_NE(hash, hash_of({.high = 2, .low = 2, .kind = 3}, key));
    EXPECT_NE(hash, hash_of({.high = 1, .low = 3, .kind = 3}, key));
    EXPECT_NE(hash, hash_of({.high = 1, .low = 2, .kind = 4}, key));
}

}  // namespace
}  // namespace preforkd
