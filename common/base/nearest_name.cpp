#include "common/base/nearest_name.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "common/base/lower_case.hpp"

namespace preforkd {
namespace {

constexpr std::size_t longest_compared = 32;  // longer than any option; bounds the work for hostile input

char folded(char c) { return c == '_' ? '-' : lower_case(c); }

/// Optimal string alignment distance.  Both texts are at most longest_compared long.
std::size_t distance(std::string_view a, std::string_view b) {
    std::array<std::array<std::size_t, longest_compared + 1>, longest_compared + 1> cost{};
    const auto same = [&](std::size_t i, std::size_t j) { return folded(a[i]) == folded(b[j]); };
    for (std::size_t i = 0; i <= a.size(); ++i)
        for (std::size_t j = 0; j <= b.size(); ++j) {
            if (i == 0 || j == 0) {
                cost[i][j] = i + j;
                continue;
            }
            const std::size_t replaced = cost[i - 1][j - 1] + (same(i - 1, j - 1) ? 0 : 1);
            cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
            if (i > 1 && j > 1 && same(i - 1, j - 2) && same(i - 2, j - 1))
                cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    return cost[a.size()][b.size()];
}

}  // namespace

std::optional<std::string_view> nearest_name(std::string_view wrong, std::span<const std::string_view> names) {
    if (wrong.empty() || wrong.size() > longest_compared) return std::nullopt;
    std::optional<std::string_view> nearest;
    std::size_t least = std::min<std::size_t>(3, (wrong.size() + 1) / 2);  // one more than is near
    for (const std::string_view name : names) {
        if (name.size() > longest_compared) continue;
        const std::size_t keystrokes = distance(wrong, name);
        if (keystrokes >= least) continue;
        least = keystrokes;
        nearest = name;
    }
    return nearest;
}

}  // namespace preforkd
