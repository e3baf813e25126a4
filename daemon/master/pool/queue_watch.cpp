#include "daemon/master/pool/queue_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "common/base/quoted.hpp"
#include "daemon/master/pool/pool_sizing.hpp"
#include "daemon/master/pool/queue_depth.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

namespace {

std::uint64_t queued_on(const std::vector<Listener>& listeners, std::size_t service) {
    std::uint64_t queued = 0;
    for (const Listener& listener : listeners) {
        if (listener.service != service) continue;
        if (const QueueDepth depth = queue_depth(listener); !depth.in_bytes) queued += depth.queued.value_or(0);
    }
    return queued;
}

void warn(const Generation& current, const ServiceSettings& service, std::uint64_t queued) {
    const bool is_own = !service.name.empty();
    const std::string who = queued == 0   ? "clients wait"
                            : queued == 1 ? "1 client waits"
                                          : fmt::format("{} clients wait", queued);
    const std::string_view remedy = is_own ? what_helps_service(service.connections)
                                           : what_helps(current.pool.model, starts_programs(*current.settings),
                                                        service.connections < service.connections_asked);
    log(LogLevel::Warning,
        fmt::format("all workers{} are full and {} in the queue: {}", is_own ? " of " + printable(service.name) : "",
                    who, remedy),
        {{"queued", queued},
         {"workers", std::int64_t{service.workers}},
         {"connections_each", std::uint64_t{service.connections}}});
}

}  // namespace

void QueueWatch::look(const Generation& current, const WorkerTable& workers, const Scoreboard& scoreboard,
                      Clock::time_point now) {
    const PoolSettings& pool = current.pool;
    for (auto& [name, history] : histories_) {
        if (!has_passed(history.next_look, now)) continue;
        const std::optional<std::size_t> index = find_service(pool, name);
        if (!index) {  // a reload has taken it away
            history = {};
            continue;
        }
        const SizeView view = look_at_size(current, workers, *index);
        QueueLook look{.at = now,
                       .all_full = view.starting + view.spare == 0 && (!pool.range || pool.workers >= pool.range->most),
                       .clients_wait = view.clients_wait};
        // Of a service nobody keeps what its dead have accepted: after a death the look begins anew.
        look.accepted = pool.services.empty() ? scoreboard.totals().accepted + workers.total(&WorkerRecord::accepted)
                                              : workers.total(&WorkerRecord::accepted, name);
        if (look.all_full && look.clients_wait) look.queued = queued_on(*current.listeners, *index);
        const QueuePlan plan = look_again(history, look);
        history = plan.history;
        if (plan.warn) warn(current, service_at(pool, *index), look.queued);
    }
}

Deadline QueueWatch::next_look() const noexcept {
    Deadline next;
    for (const auto& [name, history] : histories_) next = earlier(next, history.next_look);
    return next;
}

}  // namespace preforkd
