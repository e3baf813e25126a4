#include "daemon/master/pool/rolling_exchange.hpp"

#include "daemon/master/pool/worker_orders.hpp"

namespace preforkd {
namespace {

/// As long as a stop would wait: sessions that --reload-timeout lets live for days must not hold up the others.
Deadline waited_for_until(const WorkerEntry& leaving, const Generation& coming) {
    return gone_by(coming.pool.stop_timeout, leaving.told);
}

}  // namespace

/// A worker that starts counts as one that accepts if it is not of the generation that comes: it will in a moment.
ExchangePlan RollingExchange::next_step(const WorkerTable& workers, const Generation& coming, Clock::time_point now) {
    using State = WorkerEntry::State;
    ExchangeView view{.size = coming.pool.workers, .no_space = no_space_};
    for (const WorkerEntry& worker : workers) {
        if (worker.stopped) continue;
        const bool comes = worker.generation == coming.number;
        switch (worker.state) {
            case State::Starting: ++(comes ? view.starting : view.outgoing); break;
            case State::Ready: ++(comes ? view.ready : view.outgoing); break;
            case State::Retiring: ++view.outgoing; break;
            case State::Leaving: view.leaving += has_passed(waited_for_until(worker, coming), now) ? 0 : 1; break;
            case State::Doomed: ++view.leaving; break;
        }
    }
    if (back_ && view.ready >= view.size) over_ = true;
    return plan_exchange(view);
}

Deadline RollingExchange::waits_until(const WorkerTable& workers, const Generation& coming, Clock::time_point now) {
    Deadline next;
    for (const WorkerEntry& worker : workers) {
        if (worker.state != WorkerEntry::State::Leaving) continue;
        const Deadline until = waited_for_until(worker, coming);
        if (!has_passed(until, now)) next = earlier(next, until);
    }
    return next;
}

bool RollingExchange::is_outgoing(const WorkerEntry& worker, const Generation& coming) noexcept {
    using State = WorkerEntry::State;
    const bool accepts = worker.state == State::Ready || worker.state == State::Starting;
    return !worker.stopped && (worker.state == State::Retiring || (accepts && worker.generation != coming.number));
}

}  // namespace preforkd
