#include "daemon/master/pool/rolling_exchange.hpp"

namespace preforkd {

/// A worker that starts counts as one that accepts if it is not of the generation that comes: it will in a moment.
ExchangePlan RollingExchange::next_step(const WorkerTable& workers, const Generation& coming) {
    using State = WorkerEntry::State;
    ExchangeView view{.size = coming.pool.workers, .no_space = no_space_};
    for (const WorkerEntry& worker : workers) {
        if (worker.stopped) continue;
        const bool comes = worker.generation == coming.number;
        switch (worker.state) {
            case State::Starting: ++(comes ? view.starting : view.outgoing); break;
            case State::Ready: ++(comes ? view.ready : view.outgoing); break;
            case State::Retiring: ++view.outgoing; break;
            case State::Leaving:
            case State::Doomed: ++view.leaving; break;
        }
    }
    if (back_ && view.ready >= view.size) over_ = true;
    return plan_exchange(view);
}

bool RollingExchange::is_outgoing(const WorkerEntry& worker, const Generation& coming) noexcept {
    using State = WorkerEntry::State;
    const bool accepts = worker.state == State::Ready || worker.state == State::Starting;
    return !worker.stopped && (worker.state == State::Retiring || (accepts && worker.generation != coming.number));
}

}  // namespace preforkd
