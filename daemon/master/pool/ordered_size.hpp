#pragma once
// A pool's size that was ordered while it ran: TTIN, TTOU, preforkctl workers.  Pure.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "common/config/options_table.hpp"
#include "daemon/master/pool/generation.hpp"

namespace preforkd {

/// Orders `size` workers; where the pool resizes itself, so many at least.
inline void order_size(PoolSettings& pool, int size) {
    const int wanted = std::clamp(size, 1, pool.range ? pool.range->most : most_workers);
    pool.ordered = wanted;
    if (pool.range) pool.range->fewest = wanted;
    pool.workers = pool.range ? std::max(pool.workers, wanted) : wanted;
}

/// What was ordered holds for the next generation too, unless --workers itself has changed since: then it is the
/// younger word.
inline void carry_ordered_size(Generation& next, const Generation& before) {
    if (!next.pool.services.empty()) return;
    if (before.pool.ordered && next.settings->workers == before.settings->workers)
        order_size(next.pool, *before.pool.ordered);
}

/// What to say beside the size of `next` when it is not what --workers says, or no longer what was ordered.
[[nodiscard]] inline std::string remark_on_size(const Generation& next, const Generation& before) {
    const std::string setting = find_option("workers")->print(*next.settings).at(0);
    if (next.pool.ordered && std::to_string(*next.pool.ordered) != setting)
        return fmt::format(", {}{} as ordered, where --workers says {}", next.pool.range ? "at least " : "",
                           *next.pool.ordered, setting);
    if (before.pool.ordered && !next.pool.ordered && next.settings->workers != before.settings->workers)
        return fmt::format(": --workers is now {}, which ends the order of {}", setting, *before.pool.ordered);
    return {};
}

}  // namespace preforkd
