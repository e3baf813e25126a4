// The pool's part of exchange_policy.hpp: a rolling reload, and the way back when it fails.
#include <fmt/format.h>

#include <utility>

#include "common/base/operator_error.hpp"
#include "common/process/child_process.hpp"
#include "daemon/master/pool/pool.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

/// A worker that starts counts as one that accepts if it is not of the generation that comes: it will in a moment.
ExchangeView Pool::exchange_view(const Cohort& coming) const {
    ExchangeView view{.size = coming.plan.pool.workers, .no_space = exchange_->no_space};
    for (const WorkerSlot& slot : table_) {
        if (slot.stopped) continue;
        const bool comes = slot.generation == coming.plan.number;
        switch (slot.state) {
            case State::Starting: ++(comes ? view.starting : view.outgoing); break;
            case State::Ready: ++(comes ? view.ready : view.outgoing); break;
            case State::Retiring: ++view.outgoing; break;
            case State::Leaving:
            case State::Doomed: ++view.leaving; break;
        }
    }
    return view;
}

void Pool::follow_exchange(Clock::time_point now) {
    while (!exchange_->over && advance_exchange(now)) {}
}

/// One step; whether another may follow at once.
bool Pool::advance_exchange(Clock::time_point now) {
    Cohort& coming = exchange_->back ? current_ : *next_;
    const ExchangeView view = exchange_view(coming);
    if (exchange_->back && view.ready >= view.size) exchange_->over = true;
    const ExchangePlan plan = plan_exchange(view);
    if (plan.failed) turn_back();
    if (plan.dismiss > 0) dismiss_outgoing(coming.plan.number, plan.dismiss, now);
    if (!plan.fork) return plan.failed || plan.dismiss > 0;
    if (coming.respawn.not_before > now) return false;
    const Respawn before = coming.respawn;
    fork_worker(coming, now);
    exchange_->no_space = std::exchange(coming.fork_failed, false);
    if (exchange_->no_space) coming.respawn = before;  // a worker that goes frees space, not time
    return exchange_->no_space;
}

void Pool::dismiss_outgoing(int coming, int count, Clock::time_point now) {
    const std::vector<std::uint32_t>& closing = exchange_->back ? exchange_->added : exchange_->dropped;
    for (const bool idle_ones : {true, false})
        for (WorkerSlot& slot : table_) {
            const bool accepts = slot.state == State::Ready || slot.state == State::Starting;
            const bool outgoing = slot.state == State::Retiring || (accepts && slot.generation != coming);
            if (count == 0 || !outgoing || slot.stopped || (active(slot) == 0) != idle_ones) continue;
            dismiss(slot, now, DeathOrder::Reload, closing);
            --count;
        }
}

/// The workers of before come again in the place of the new ones, if their code is still there and can be started.
void Pool::turn_back() {
    if (exchange_->back || !current_.plan.body) {
        exchange_->over = true;
        return;
    }
    log(LogLevel::Notice,
        "a new worker failed: exchanging the {ready} that are ready for workers of the generation before: {cause}",
        {{"cause", why_next_failed()}, {"ready", std::int64_t{table_.count(State::Ready, next_->plan.number)}}});
    exchange_->back = true;
    exchange_->no_space = false;
    current_.respawn = {};
}

/// A worker has died before it was ready.
void Pool::note_failed_start(Cohort& cohort, const Death& death) {
    // The process had space, and its thread had none, for instance.
    const bool no_space = death.report == ExitReport{ExitReport::Kind::Exited, static_cast<int>(ExitCode::System)};
    if (cohort.last_failure.empty())
        cohort.last_failure =
            fmt::format("worker {} {} before it was ready", death.number, preforkd::describe(death.report));
    if (!exchange_) cohort.fork_failed |= no_space;
    if (!exchange_ || exchange_->over) return;
    if (no_space) {
        exchange_->no_space = true;
        cohort.respawn = {};
        return;
    }
    if (!exchange_->back && next_ && &cohort == &*next_) turn_back();
    if (exchange_->back && &cohort == &current_ && is_hopeless(cohort.respawn.early_deaths, cohort.plan.pool.workers))
        exchange_->over = true;
}

}  // namespace preforkd
