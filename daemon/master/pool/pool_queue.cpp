// The pool's part of queue_policy.hpp: clients that wait while all workers are busy.
#include <fmt/format.h>

#include "common/base/counted.hpp"
#include "daemon/master/pool/pool.hpp"
#include "daemon/master/pool/queue_depth.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

std::uint64_t queued_on(const std::vector<Listener>& listeners) {
    std::uint64_t queued = 0;
    for (const Listener& listener : listeners)
        if (const QueueDepth depth = queue_depth(listener); !depth.in_bytes) queued += depth.queued.value_or(0);
    return queued;
}

}  // namespace

void Pool::note_full() {
    sizing_.told = sizing_.told_full = true;
    queue_ = told_full(queue_, Clock::now());
}

void Pool::watch_queue(Clock::time_point now) {
    if (!has_passed(queue_.next_look, now)) return;
    const PoolSettings& pool = current_.plan.pool;
    const SizeView view = size_view(now);
    QueueLook look{.at = now,
                   .all_busy = view.starting + view.spare == 0 && (!pool.range || pool.workers >= pool.range->most),
                   .clients_wait = view.clients_wait,
                   .accepted = slots_.totals().accepted};
    for (const WorkerSlot& slot : table_) look.accepted += slots_[slot.record].accepted.load(std::memory_order_relaxed);
    if (look.all_busy && look.clients_wait) look.queued = queued_on(*current_.plan.listeners);

    const QueuePlan plan = look_again(queue_, look);
    queue_ = plan.history;
    if (!plan.warn) return;
    const std::string who = look.queued == 0   ? "clients wait"
                            : look.queued == 1 ? "1 client waits"
                                               : fmt::format("{} clients wait", look.queued);
    log(LogLevel::Warning,
        fmt::format("all workers are busy and {} in the queue: {}", who,
                    what_helps(pool.model, !current_.plan.settings->program.empty())),
        {{"queued", look.queued},
         {"workers", std::int64_t{pool.workers}},
         {"connections_each", std::uint64_t{pool.connections}}});
}

}  // namespace preforkd
