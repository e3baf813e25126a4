#pragma once
// How many workers a pool with a range should have.  Pure.
#include <algorithm>
#include <chrono>

namespace preforkd {

/// What the operator allows.  Counts of worker processes.
struct SizeLimits {
    int fewest = 1;
    int most = 1;
    int least_spare = 1;
    int most_spare = 1;
};

/// What the master sees right now.
struct SizeView {
    int starting = 0;  ///< wanted already, and not ready; they count as spare, so that a slow start is not answered by
                       ///< a second fork
    int spare = 0;     ///< have space for another client
    int full = 0;
    bool clients_wait = false;  ///< in the kernel's queues
    int burst = 1;              ///< how many may be started at once if clients wait
    std::chrono::milliseconds since_growth{};
    std::chrono::milliseconds surplus_for{};  ///< how long there have been too many

    friend constexpr bool operator==(const SizeView&, const SizeView&) = default;
};

struct SizePlan {
    int grow = 0;
    int shrink = 0;
    int next_burst = 1;
    bool surplus = false;  ///< more are spare than should be

    friend constexpr bool operator==(const SizePlan&, const SizePlan&) = default;
};

/// Decides how many workers to start or to dismiss.
///
/// While clients wait and nobody is spare, the burst doubles with each round (1, 2, 4 ... 32), so that a spike is met
/// in a few rounds without forking the whole pool at once; it falls back to 1 after a second in which nobody was
/// missing. Shrinking begins after a minute of surplus, and then dismisses one spare worker a second: shrinking late
/// costs memory, shrinking early costs a fork. Source: Apache httpd prefork MPM, perform_idle_server_maintenance().
[[nodiscard]] constexpr SizePlan plan_size(const SizeView& pool, const SizeLimits& limits) noexcept {
    constexpr int largest_burst = 32;
    constexpr std::chrono::milliseconds quiet{1000};
    constexpr std::chrono::milliseconds patience_with_surplus{60'000};
    const int ready_soon = pool.starting + pool.spare;
    const int space = std::max(0, limits.most - ready_soon - pool.full);
    const bool unmet = pool.clients_wait && ready_soon == 0;
    const int missing = std::max(unmet ? pool.burst : 0, limits.least_spare - ready_soon);

    if (missing <= 0) {
        const bool may_shrink = ready_soon + pool.full > limits.fewest && pool.starting == 0;
        const bool surplus = may_shrink && pool.spare > limits.most_spare;
        return {.shrink = surplus && pool.surplus_for >= patience_with_surplus ? 1 : 0,
                .next_burst = pool.since_growth >= quiet ? 1 : pool.burst,
                .surplus = surplus};
    }
    if (space == 0) return {};
    return {.grow = std::min({missing, space, pool.burst}), .next_burst = std::min(pool.burst * 2, largest_burst)};
}

static_assert(plan_size({.full = 1, .clients_wait = true}, {.most = 8}).grow == 1);
static_assert(plan_size({.full = 8, .clients_wait = true}, {.most = 8}).grow == 0);

}  // namespace preforkd
