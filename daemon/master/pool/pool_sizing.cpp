#include "daemon/master/pool/pool_sizing.hpp"

#include <algorithm>
#include <utility>

#include "daemon/master/pool/queue_depth.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto after_told_full = 150ms;  // longer than a worker keeps further news back: see Acceptor::begun()
constexpr auto while_grown = 5s;
constexpr auto while_full = 1s;
constexpr auto between_dismissals = 1s;
constexpr auto surplus_patience = 60s;  // plan_size()'s

template <class Duration>
std::chrono::milliseconds in_ms(Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration);
}

}  // namespace

SizeView look_at_size(const Generation& current, const WorkerTable& workers, std::size_t service) {
    const ServiceSettings wanted = service_at(current.pool, service);
    const WorkersOf own{.generation = current.number, .service = wanted.name};
    SizeView view;
    for (const WorkerEntry& worker : workers) {
        if (worker.state != WorkerEntry::State::Ready || !own.has(worker)) continue;
        ++(worker.active() < worker.connections ? view.spare : view.full);
    }
    view.starting = std::max(0, wanted.workers - view.spare - view.full);
    view.clients_wait = view.starting + view.spare == 0 && somebody_waits(*current.listeners, service);
    return view;
}

void PoolSizing::follow_demand(Generation& current, const WorkerTable& workers, Clock::time_point now) {
    if (!current.pool.range) return;
    if (current.pool.runs_copies) return copies_.follow_demand(current, workers, now);
    const SizeLimits& range = *current.pool.range;
    if (!std::exchange(told_, false) && !has_passed(next_look_, now)) return;
    SizeView view = look_at_size(current, workers);
    view.burst = burst_;
    view.since_growth = in_ms(now - grown_at_);
    view.surplus_for = in_ms(now - surplus_since_.value_or(now));
    const SizePlan plan = plan_size(view, range);

    int& wanted = current.pool.workers;
    if (const int by = plan.grow - plan.shrink; by != 0) {
        wanted += by;
        log(LogLevel::Info,
            by > 0 ? "pool grows by {by} to {workers} workers: there is demand"
                   : "pool shrinks by {by} to {workers} workers: more are idle than are needed",
            {{"workers", std::int64_t{wanted}}, {"by", std::int64_t{std::abs(by)}}});
    }
    if (plan.grow > 0) grown_at_ = now;
    burst_ = plan.next_burst;

    if (!plan.surplus)
        surplus_since_.reset();
    else if (plan.shrink > 0)
        surplus_since_ = now - surplus_patience + between_dismissals;
    else if (!surplus_since_)
        surplus_since_ = now;

    // A pool at its smallest with a spare worker has nothing to decide until a worker tells.
    next_look_.reset();
    if (std::exchange(told_full_, false)) next_look_ = now + after_told_full;
    if (wanted > range.fewest) next_look_ = earlier(next_look_, now + while_grown);
    if (surplus_since_) next_look_ = earlier(next_look_, *surplus_since_ + surplus_patience);
    if (view.starting + view.spare == 0 && wanted < range.most) next_look_ = earlier(next_look_, now + while_full);
}

int ordered_size(const PoolSettings& pool) noexcept { return pool.range ? pool.range->fewest : pool.workers; }

void log_ordered_size(const PoolSettings& pool, int size, int before) {
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
