#include "common/process/heap_holes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/process/spawn.hpp"
#include "tests/process/waiting.hpp"

namespace preforkd {
namespace {

using Block = std::unique_ptr<char[]>;

/// How far apart are the first and the last byte of a few blocks, of the sizes that a client's objects have.
std::uintptr_t spread_of_a_few_blocks() {
    std::vector<std::uintptr_t> addresses;
    std::vector<Block> blocks;
    addresses.reserve(8);
    blocks.reserve(8);
    for (const std::size_t size : {24, 600, 40, 300, 120, 24, 1000, 64}) {
        blocks.push_back(std::make_unique<char[]>(size));
        addresses.push_back(reinterpret_cast<std::uintptr_t>(blocks.back().get()));
    }
    const auto [first, last] = std::minmax_element(addresses.begin(), addresses.end());
    return *last - *first;
}

TEST(HeapHoles, what_is_allocated_after_they_are_filled_lies_side_by_side) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "this allocator places blocks at random";
#endif
    // In a child, whose heap is nobody else's.
    const ChildProcess child = spawn([] {
        std::vector<Block> used;
        for (int i = 0; i < 4000; ++i)
            used.push_back(std::make_unique<char[]>(static_cast<std::size_t>(16 + i % 1000)));
        for (std::size_t i = 0; i < used.size(); i += 100) used[i].reset();
        const std::uintptr_t before = spread_of_a_few_blocks();
        fill_heap_holes();
        const std::uintptr_t after = spread_of_a_few_blocks();
        return before > 100'000 && after < 4096 ? 0 : 1;
    });
    EXPECT_EQ(testing::end_of(child), testing::success);
}

}  // namespace
}  // namespace preforkd
