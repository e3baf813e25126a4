#include "daemon/master/pool/queue_watch.hpp"

#include <fmt/format.h>

#include "daemon/master/pool/pool_sizing.hpp"
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

void QueueWatch::look(const Generation& current, const WorkerTable& workers, const Scoreboard& scoreboard,
                      Clock::time_point now) {
    if (!has_passed(history_.next_look, now)) return;
    const PoolSettings& pool = current.pool;
    const SizeView view = look_at_size(current, workers);
    QueueLook look{.at = now,
                   .all_full = view.starting + view.spare == 0 && (!pool.range || pool.workers >= pool.range->most),
                   .clients_wait = view.clients_wait,
                   .accepted = scoreboard.totals().accepted + workers.total(&WorkerRecord::accepted)};
    if (look.all_full && look.clients_wait) look.queued = queued_on(*current.listeners);

    const QueuePlan plan = look_again(history_, look);
    history_ = plan.history;
    if (!plan.warn) return;
    const std::string who = look.queued == 0   ? "clients wait"
                            : look.queued == 1 ? "1 client waits"
                                               : fmt::format("{} clients wait", look.queued);
    log(LogLevel::Warning,
        fmt::format(
            "all workers are full and {} in the queue: {}", who,
            what_helps(pool.model, starts_programs(*current.settings), pool.connections < pool.connections_asked)),
        {{"queued", look.queued},
         {"workers", std::int64_t{pool.workers}},
         {"connections_each", std::uint64_t{pool.connections}}});
}

}  // namespace preforkd
