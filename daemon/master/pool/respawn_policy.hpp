#pragma once
// When a dead worker is replaced.  Pure.
#include <algorithm>
#include <chrono>
#include <cstdint>

#include "common/base/clock.hpp"

namespace preforkd {

/// Whether a worker died before it had been of any use.
[[nodiscard]] constexpr bool died_early(std::chrono::milliseconds age, std::uint64_t served) noexcept {
    constexpr std::chrono::milliseconds useful_life{10'000};
    return served == 0 && age < useful_life;
}

/// How long to wait before a dead worker is replaced.
///
/// @param early_deaths  deaths in a row, over the pool, of workers that had neither served a request nor lived 10 s;
///                      any worker's success resets it.
/// @return 0 ms for the first, then 100 ms doubling up to 30 s.
///
/// One early death is bad luck (an operator's kill, the OOM killer); a second points at a broken handler,
/// configuration or machine, and restarting at once only burns CPU.
/// Source: Postfix master(8), "bad command startup -- throttling".
[[nodiscard]] constexpr std::chrono::milliseconds respawn_delay(int early_deaths) noexcept {
    using namespace std::chrono_literals;
    constexpr std::chrono::milliseconds first = 100ms;
    constexpr std::chrono::milliseconds longest = 30s;
    if (early_deaths <= 1) return 0ms;
    const int doublings = std::min(early_deaths - 2, 16);  // 100 ms << 16 is already past `longest`
    return std::min(first * (1 << doublings), longest);
}

/// How a generation's deaths have gone so far, and when its next worker may be forked.
struct Respawn {
    int early_deaths = 0;  ///< in a row, failed forks included
    std::uint64_t served_at_last_early_death = 0;
    Clock::time_point not_before{};
    friend bool operator==(const Respawn&, const Respawn&) = default;
};

/// A death that nobody ordered.
struct UnexpectedDeath {
    std::chrono::milliseconds age{};
    std::uint64_t served = 0;       ///< by the worker that died
    std::uint64_t pool_served = 0;  ///< by all workers, ever
    Clock::time_point at{};
};

[[nodiscard]] constexpr Respawn after_death(const Respawn& before, const UnexpectedDeath& death) noexcept {
    Respawn after{.served_at_last_early_death = before.served_at_last_early_death};
    if (died_early(death.age, death.served)) {
        const bool of_use_meanwhile = death.pool_served != before.served_at_last_early_death;
        after.early_deaths = of_use_meanwhile ? 1 : before.early_deaths + 1;
        after.served_at_last_early_death = death.pool_served;
    }
    after.not_before = death.at + respawn_delay(after.early_deaths);
    return after;
}

/// The machine is out of processes, descriptors or memory: never tried again at once.
[[nodiscard]] constexpr Respawn after_failed_fork(const Respawn& before, Clock::time_point at) noexcept {
    using namespace std::chrono_literals;
    Respawn after = before;
    ++after.early_deaths;
    after.not_before = at + std::max(100ms, respawn_delay(after.early_deaths));
    return after;
}

/// Whether a pool of `workers` of which none has ever become ready should be given up.
///
/// Each worker gets a try, and a small pool gets five: enough to outlast a hiccup of the machine, over before an
/// operator wonders.
[[nodiscard]] constexpr bool is_hopeless(int early_deaths, int workers) noexcept {
    constexpr int fewest_tries = 5;
    return early_deaths >= std::max(fewest_tries, workers);
}

static_assert(respawn_delay(1) == std::chrono::milliseconds{0});
static_assert(respawn_delay(2) == std::chrono::milliseconds{100});
static_assert(respawn_delay(1000) == std::chrono::seconds{30});

}  // namespace preforkd
