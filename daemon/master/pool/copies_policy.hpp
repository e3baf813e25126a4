#pragma once
// How many copies of a program a pool with a range should have, of which nobody knows whether they are busy.  Pure.
#include <algorithm>
#include <chrono>

#include "daemon/master/pool/size_policy.hpp"

namespace preforkd {

/// What the master sees of the copies.
struct CopiesView {
    int size = 1;      ///< as many are wanted
    int ready = 1;     ///< as many are there
    int cpus = 1;      ///< that the service may use
    int used_cpu = 0;  ///< by all of them together just now, in thousandths of a CPU
    bool clients_wait = false;
    bool may_leave = true;  ///< a copy more may be asked to, beside those that are leaving already
    int burst = 1;          ///< how many may be started at once
    // How long each has been so, at every look.
    std::chrono::milliseconds waiting_for{};    ///< clients were in the queues
    std::chrono::milliseconds computing_for{};  ///< see compute()
    std::chrono::milliseconds surplus_for{};    ///< see suffice_with_one_less()

    friend constexpr bool operator==(const CopiesView&, const CopiesView&) = default;
};

/// Whether each copy uses a CPU nearly all the time, which most cannot exceed, and there is a CPU for another.
[[nodiscard]] constexpr bool compute(const CopiesView& copies) noexcept {
    constexpr int nearly_all = 800;
    return copies.size < copies.cpus && copies.used_cpu >= nearly_all * copies.ready;
}

/// Whether what they do would leave one less of them idle half the time.
[[nodiscard]] constexpr bool suffice_with_one_less(const CopiesView& copies) noexcept {
    constexpr int half = 500;
    return !copies.clients_wait && copies.used_cpu <= half * (copies.size - 1);
}

/// Decides how many copies to start or to dismiss.
///
/// A client in the queue is no fault yet, it may just have come: what counts is that somebody waits at every look for a
/// second. Then the burst doubles with each round (1, 2, 4 ... 32).  A server that takes everybody at once never has a
/// queue; it is short of copies when they compute for three seconds.  Those that have just been started come first:
/// nothing more is decided until they are ready.  Shrinking begins after a minute, and then dismisses one every ten
/// seconds: which of them has clients nobody knows, so that it asks them one by one.
[[nodiscard]] constexpr SizePlan plan_copies(const CopiesView& copies, const SizeLimits& limits) noexcept {
    constexpr int largest_burst = 32;
    constexpr std::chrono::milliseconds patience_of_clients{1000};
    constexpr std::chrono::milliseconds patience_with_computing{3000};
    constexpr std::chrono::milliseconds patience_with_surplus{60'000};
    const int next_burst = copies.clients_wait ? copies.burst : 1;
    const int space = std::max(0, limits.most - copies.size);
    const bool surplus = copies.size > limits.fewest && suffice_with_one_less(copies);
    if (copies.ready < copies.size) return {.next_burst = next_burst};
    if (copies.waiting_for >= patience_of_clients && space > 0)
        return {.grow = std::min(copies.burst, space), .next_burst = std::min(2 * copies.burst, largest_burst)};
    if (copies.computing_for >= patience_with_computing && space > 0) return {.grow = 1, .next_burst = next_burst};
    const bool for_long = copies.surplus_for >= patience_with_surplus;
    return {.shrink = surplus && for_long && copies.may_leave ? 1 : 0, .next_burst = next_burst, .surplus = surplus};
}

static_assert(plan_copies({.clients_wait = true, .waiting_for = std::chrono::seconds{1}}, {.most = 8}).grow == 1);
static_assert(plan_copies({.size = 8, .ready = 8, .clients_wait = true, .waiting_for = std::chrono::seconds{9}},
                          {.most = 8})
                  .grow == 0);

}  // namespace preforkd
