#pragma once
// When a dead worker is replaced.  Pure.
#include <algorithm>
#include <chrono>
#include <cstdint>

namespace preforkd {

/// Whether a worker died before it had been of any use.
[[nodiscard]] constexpr bool died_early(std::chrono::milliseconds age, std::uint64_t served) noexcept {
    constexpr std::chrono::milliseconds useful_life{10'000};
    return served == 0 && age < useful_life;
}

/// How long to leave a slot empty after its worker died.
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
