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

/// How many unexpected deaths a second are replaced at once, whatever the dead have served.
///
/// What a worker has served is its own word, and a death at once after the fork takes a processor whole when it is
/// believed (190 a second).  So there is an end to it, which a service does not meet by bad luck: 50 a second is one
/// request in twenty that crashes at a thousand a second, and the whole of a larger pool may be killed at once.  Lower,
/// and clients who know how to crash a worker would keep the others out the more easily.
[[nodiscard]] constexpr int most_deaths_per_second(int workers) noexcept { return std::max(50, workers); }

/// How many workers a second are replaced at once because they say that they retire, `--max-requests` being as given.
///
/// A worker's word again.  So it is worth as much as a death, or what the option asks for of workers that serve faster
/// than any does: 500 000 requests a second each.  What retires after a thousand of them may do so 500 times a second,
/// and a pool at its fastest never waits.
[[nodiscard]] constexpr std::int64_t most_retirements_per_second(int workers, std::uint64_t max_requests) noexcept {
    constexpr std::uint64_t most_served_per_second = 500'000;
    const std::uint64_t honest = max_requests == 0 ? 0 : most_served_per_second / max_requests;
    return std::max<std::int64_t>(most_deaths_per_second(workers), workers * static_cast<std::int64_t>(honest));
}

/// How a generation's deaths have gone so far, and when its next worker may be forked.
struct Respawn {
    int early_deaths = 0;  ///< in a row, failed forks included
    std::uint64_t served_at_last_early_death = 0;
    Clock::time_point not_before{};
    /// Each unexpected death and each retirement takes its share of a second; up to one is saved.
    Clock::time_point spent_until = Clock::time_point::min();
    bool too_many = false;  ///< the last of them has gone beyond most_deaths_per_second(), or that of retirements
    friend bool operator==(const Respawn&, const Respawn&) = default;
};

/// `spent_until`, once another of at most `per_second` has taken its share.
[[nodiscard]] constexpr Clock::time_point spend_share(Clock::time_point spent_until, std::int64_t per_second,
                                                      Clock::time_point at) noexcept {
    constexpr std::chrono::seconds saved{1};
    return std::max(spent_until, at - saved) + Clock::duration{saved} / per_second;
}

/// A death that nobody ordered.
struct UnexpectedDeath {
    std::chrono::milliseconds age{};
    std::uint64_t served = 0;       ///< by the worker that died
    std::uint64_t pool_served = 0;  ///< by all workers, ever
    int pool_size = 1;
    Clock::time_point at{};
};

[[nodiscard]] constexpr Respawn after_death(const Respawn& before, const UnexpectedDeath& death) noexcept {
    Respawn after{.served_at_last_early_death = before.served_at_last_early_death};
    if (died_early(death.age, death.served)) {
        const bool of_use_meanwhile = death.pool_served != before.served_at_last_early_death;
        after.early_deaths = of_use_meanwhile ? 1 : before.early_deaths + 1;
        after.served_at_last_early_death = death.pool_served;
    }
    after.spent_until = spend_share(before.spent_until, most_deaths_per_second(death.pool_size), death.at);
    after.too_many = after.spent_until > death.at;
    after.not_before = std::max(death.at + respawn_delay(after.early_deaths), after.spent_until);
    return after;
}

/// A worker has asked for its replacement.  It serves on until that one is ready.
struct Retirement {
    int pool_size = 1;
    std::uint64_t max_requests = 0;
    Clock::time_point at{};
};

[[nodiscard]] constexpr Respawn after_retirement(const Respawn& before, const Retirement& retirement) noexcept {
    Respawn after = before;
    after.spent_until = spend_share(
        before.spent_until, most_retirements_per_second(retirement.pool_size, retirement.max_requests), retirement.at);
    after.too_many = after.spent_until > retirement.at;
    if (after.too_many) after.not_before = std::max(before.not_before, after.spent_until);
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
