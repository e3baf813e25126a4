// The pool's part of size_policy.hpp: as many workers as are needed.
#include <poll.h>

#include <algorithm>
#include <utility>

#include "daemon/master/pool/ordered_size.hpp"
#include "daemon/master/pool/pool.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto after_told_full = 150ms;  // longer than a worker keeps further news back: see Acceptor::begun()
constexpr auto while_grown = 5s;
constexpr auto while_full = 1s;
constexpr auto between_dismissals = 1s;
constexpr auto surplus_patience = 60s;  // plan_size()'s

bool somebody_waits(const std::vector<Listener>& listeners) {
    std::vector<pollfd> queues;
    for (const Listener& listener : listeners)
        queues.push_back({.fd = listener.fd.get(), .events = POLLIN, .revents = 0});
    return ::poll(queues.data(), queues.size(), 0) > 0;
}

template <class Duration>
std::chrono::milliseconds in_ms(Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration);
}

}  // namespace

SizeView Pool::size_view(Clock::time_point now) {
    SizeView view{.burst = sizing_.burst,
                  .since_growth = in_ms(now - sizing_.grown_at),
                  .surplus_for = in_ms(now - sizing_.surplus_since.value_or(now))};
    for (const WorkerSlot& slot : table_) {
        if (slot.generation != current_.plan.number || slot.state != State::Ready || slot.stopped) continue;
        ++(active(slot) < current_.plan.pool.connections ? view.spare : view.full);
    }
    view.starting = std::max(0, current_.plan.pool.workers - view.spare - view.full);
    view.clients_wait = view.starting + view.spare == 0 && somebody_waits(*current_.plan.listeners);
    return view;
}

void Pool::follow_demand(Clock::time_point now) {
    if (!current_.plan.pool.range) return;
    const SizeLimits& range = *current_.plan.pool.range;
    if (!std::exchange(sizing_.told, false) && !has_passed(sizing_.next_look, now)) return;
    const SizeView view = size_view(now);
    const SizePlan plan = plan_size(view, range);

    int& workers = current_.plan.pool.workers;
    if (const int by = plan.grow - plan.shrink; by != 0) {
        workers += by;
        log(LogLevel::Info,
            by > 0 ? "pool grows by {by} to {workers} workers: there is demand"
                   : "pool shrinks by {by} to {workers} workers: more are idle than are needed",
            {{"workers", std::int64_t{workers}}, {"by", std::int64_t{std::abs(by)}}});
    }
    if (plan.grow > 0) sizing_.grown_at = now;
    sizing_.burst = plan.next_burst;

    if (!plan.surplus)
        sizing_.surplus_since.reset();
    else if (plan.shrink > 0)
        sizing_.surplus_since = now - surplus_patience + between_dismissals;
    else if (!sizing_.surplus_since)
        sizing_.surplus_since = now;

    // A pool at its smallest with a spare worker has nothing to decide until a worker tells.
    sizing_.next_look.reset();
    if (std::exchange(sizing_.told_full, false)) sizing_.next_look = now + after_told_full;
    if (workers > range.fewest) sizing_.next_look = earlier(sizing_.next_look, now + while_grown);
    if (sizing_.surplus_since)
        sizing_.next_look = earlier(sizing_.next_look, *sizing_.surplus_since + surplus_patience);
    if (view.starting + view.spare == 0 && workers < range.most)
        sizing_.next_look = earlier(sizing_.next_look, now + while_full);
}

void Pool::resize(int by) {
    const PoolSettings& pool = current_.plan.pool;
    resize_to((pool.range ? pool.range->fewest : pool.workers) + by);
}

void Pool::resize_to(int size) {
    PoolSettings& pool = current_.plan.pool;
    const int before = pool.range ? pool.range->fewest : pool.workers;
    order_size(pool, size);
    if (next_) order_size(next_->plan.pool, size);  // it has read its settings already
    sizing_.told = true;
    const bool at_limit = *pool.ordered == before && size != before;
    if (size == before)
        log(LogLevel::Notice, "pool size is {workers} already", {{"workers", std::int64_t{before}}});
    else if (pool.range)
        log(LogLevel::Notice,
            at_limit ? "pool size is at its limit: {min_workers} to {max_workers} workers"
                     : "pool size changed to {min_workers} to {max_workers} workers",
            {{"min_workers", std::int64_t{pool.range->fewest}}, {"max_workers", std::int64_t{pool.range->most}}});
    else
        log(LogLevel::Notice,
            at_limit ? "pool size is at its limit: {workers} workers" : "pool size changed to {workers} workers",
            {{"workers", std::int64_t{pool.workers}}});
}

}  // namespace preforkd
