#include "daemon/master/pool/ordered_size.hpp"

#include <gtest/gtest.h>

namespace preforkd {
namespace {

Generation of(WorkerCount workers, std::optional<int> ordered = {}) {
    Settings settings;
    settings.workers = workers;
    Generation made{.settings = std::make_shared<const Settings>(settings)};
    made.pool.workers = workers.min;
    if (is_range(workers)) made.pool.range = SizeLimits{.fewest = workers.min, .most = workers.max};
    if (ordered) order_size(made.pool, *ordered);
    return made;
}
constexpr WorkerCount fixed(int number) { return {.automatic = false, .min = number, .max = number}; }

TEST(OrderedSize, an_order_is_the_size_and_of_a_range_the_least_within_it) {
    EXPECT_EQ(of(fixed(2), 5).pool.workers, 5);
    EXPECT_EQ(of(fixed(2), 0).pool.workers, 1);
    EXPECT_EQ(of(fixed(2), 5000).pool.workers, most_workers);
    const Generation ranged = of({.automatic = false, .min = 2, .max = 4}, 9);
    EXPECT_EQ(ranged.pool.range->fewest, 4);
    EXPECT_EQ(ranged.pool.ordered, 4);
    EXPECT_EQ(ranged.pool.workers, 4);
}

TEST(OrderedSize, it_holds_while_the_setting_is_the_same) {
    Generation next = of(fixed(2));
    const Generation before = of(fixed(2), 5);
    carry_ordered_size(next, before);
    EXPECT_EQ(next.pool.workers, 5);
    EXPECT_EQ(remark_on_size(next, before), ", 5 as ordered, where --workers says 2");
    Generation automatic = of({});
    carry_ordered_size(automatic, of({}, 5));
    EXPECT_EQ(remark_on_size(automatic, before), ", 5 as ordered, where --workers says auto");
}

TEST(OrderedSize, it_ends_with_another_setting) {
    Generation next = of(fixed(3));
    const Generation before = of(fixed(2), 5);
    carry_ordered_size(next, before);
    EXPECT_EQ(next.pool.workers, 3);
    EXPECT_EQ(next.pool.ordered, std::nullopt);
    EXPECT_EQ(remark_on_size(next, before), ": --workers is now 3, which ends the order of 5");
}

TEST(OrderedSize, without_an_order_there_is_nothing_to_say) {
    EXPECT_EQ(remark_on_size(of(fixed(3)), of(fixed(2))), "");
    EXPECT_EQ(remark_on_size(of(fixed(2), 2), of(fixed(2), 2)), "");
}

}  // namespace
}  // namespace preforkd
