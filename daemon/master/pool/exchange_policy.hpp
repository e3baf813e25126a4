#pragma once
// A rolling reload: a generation of workers is exchanged for another, a worker at a time.  Pure.
#include <algorithm>

namespace preforkd {

/// The workers of both generations, as counts of processes.
struct ExchangeView {
    int size = 1;           ///< wanted of the generation that comes
    int starting = 0;       ///< of that: forked, and not ready yet
    int ready = 0;          ///< of that: accept
    int outgoing = 0;       ///< accept too, and are to leave
    int leaving = 0;        ///< were asked to leave, are not gone, and are waited for
    bool no_space = false;  ///< the last fork was refused, and no worker has gone since
};

/// What to do next; nothing: wait until a worker is ready or gone.
struct ExchangePlan {
    bool fork = false;  ///< a worker of the generation that comes
    int dismiss = 0;    ///< of those that are to leave, the idle ones first
    bool failed = false;
    friend bool operator==(const ExchangePlan&, const ExchangePlan&) = default;
};

/// Decides the next step of an exchange, which is over when `ready` has reached `size`.
///
/// There is at most one process more than `size`: who was asked to leave is waited for, for a time.  So a host with
/// capacity for one generation and one worker is enough, and none that accepts is missing.  Where not even one more has
/// capacity, one that is to leave goes first, and one that accepts is missing meanwhile, never two.  Nobody is asked to
/// leave before the first new worker is ready, save there: settings that no worker can start with have cost nothing.
[[nodiscard]] constexpr ExchangePlan plan_exchange(const ExchangeView& view) noexcept {
    const int accepting = view.ready + view.outgoing;
    if (view.starting > 0 || view.ready >= view.size) return {};
    if (view.ready > 0 && accepting > view.size) return {.dismiss = std::min(accepting - view.size, view.outgoing)};
    if (!view.no_space) return {.fork = view.leaving == 0 || accepting + view.leaving <= view.size};
    if (view.leaving > 0) return {};
    if (accepting >= view.size && view.outgoing > 0) return {.dismiss = 1};
    return {.failed = true};
}

static_assert(plan_exchange({.size = 4, .outgoing = 4}).fork);
static_assert(plan_exchange({.size = 4, .ready = 1, .outgoing = 4}).dismiss == 1);
static_assert(plan_exchange({.size = 4, .ready = 1, .outgoing = 3, .leaving = 1}) == ExchangePlan{});
static_assert(plan_exchange({.size = 4, .outgoing = 4, .no_space = true}).dismiss == 1);
static_assert(plan_exchange({.size = 4, .outgoing = 3, .no_space = true}).failed);

}  // namespace preforkd
