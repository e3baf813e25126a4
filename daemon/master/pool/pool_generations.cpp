// From one generation to the next, and from one image to the next.
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "common/channel/stopping.hpp"
#include "common/config/options_table.hpp"
#include "common/log/log_output.hpp"
#include "daemon/master/pool/pool.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto patience_after_term = fast_stop + 1s;  // a worker ends by itself; one that is stuck is killed

bool is_going(const WorkerSlot& slot) noexcept {
    return slot.state == WorkerSlot::State::Leaving || slot.state == WorkerSlot::State::Doomed;
}

}  // namespace

void Pool::boot(Generation next, std::optional<RollingReload> rolling) {
    // The demand is what it was.
    if (next.pool.range)
        next.pool.workers = std::clamp(current_.plan.pool.workers, next.pool.range->fewest, next.pool.range->most);
    next_.emplace(Cohort{.plan = std::move(next)});
    if (rolling) exchange_.emplace(Exchange{std::move(*rolling)});
}

bool Pool::next_ready() const noexcept {
    if (!next_ || (exchange_ && exchange_->back)) return false;
    return table_.count(State::Ready, next_->plan.number) >= next_->plan.pool.workers;
}

bool Pool::next_hopeless() const noexcept {
    if (!next_) return false;
    if (exchange_) return exchange_->over;
    // A machine without capacity for both generations will not have it in a moment, while both are there.
    if (next_->fork_failed) return true;
    return !next_->ever_ready && is_hopeless(next_->respawn.early_deaths, next_->plan.pool.workers);
}

std::string Pool::why_next_failed() const {
    if (!next_ || next_->last_failure.empty()) return "the new workers were not ready within --boot-timeout";
    if (exchange_ || !next_->fork_failed) return next_->last_failure;
    return next_->last_failure + "; if only one generation fits: --reload rolling";
}

void Pool::commit(const std::vector<std::uint32_t>& dropped, Clock::time_point now) {
    const DeathOrder order = current_.plan.body ? DeathOrder::Reload : DeathOrder::Upgrade;
    current_ = std::move(*next_);
    next_.reset();
    exchange_.reset();
    sizing_ = {.told = true};
    watching_.next_look = now;  // with another --worker-timeout, maybe
    for (WorkerSlot& slot : table_) {
        if (slot.generation == current_.plan.number || is_going(slot)) continue;
        dismiss(slot, now, order, dropped);
    }
}

void Pool::abandon(const std::vector<std::uint32_t>& added, Clock::time_point now) {
    for (WorkerSlot& slot : table_) {
        if (slot.generation != next_->plan.number || is_going(slot)) continue;
        const bool has_taken_nobody = slot.state == State::Starting;
        dismiss(slot, now, DeathOrder::Reload, added);
        if (has_taken_nobody) slot.patience = now + patience_after_term;
    }
    next_.reset();
    exchange_.reset();
}

std::set<int> Pool::old_generations() const {
    std::set<int> numbers;
    for (const WorkerSlot& slot : table_)
        if (slot.generation < current_.plan.number) numbers.insert(slot.generation);
    return numbers;
}

void Pool::end_generation(int number, Clock::time_point now) {
    for (WorkerSlot& slot : table_) {
        if (slot.generation != number || slot.state == State::Doomed) continue;
        slot.state = State::Leaving;
        slot.order = DeathOrder::Reload;
        slot.patience = now + patience_after_term;
        slot.process.signal(SIGTERM);
    }
}

/// One line for all that were ended together: the whole pool, the generations before this one, or a single worker.
void Pool::tell_of_cut_connections(int generation) {
    if (closing_) {
        if (!table_.empty()) return;
        std::uint64_t all = 0;
        for (const auto& [number, connections] : std::exchange(cut_, {})) all += connections;
        return log_cut_connections(all);
    }
    const bool goes_on = generation == current_.plan.number;
    const bool others_leave =
        std::ranges::any_of(table_, [=](const WorkerSlot& slot) { return slot.generation == generation; });
    if (goes_on || !others_leave) log_cut_connections(std::exchange(cut_[generation], 0), generation);
}

Pool::Pool(Generation current, EpollSet& events, const Handover& handover)
    : events_{events},
      slots_{UniqueFd{handover.slots}},
      current_{.plan = std::move(current), .ever_ready = true},
      replaced_{handover.replaced},
      dropped_before_{handover.dropped_log_lines} {
    orphans_.adopt(handover.groups);
    if (!handover.deaths.empty()) deaths_ = parse_deaths(handover.deaths);
    for (const HandedCut& each : handover.cut) cut_[each.generation] = each.connections;
    for (const HandedWorker& worker : handover.workers_alive) {
        UniqueFd channel{worker.channel};
        UniqueFd printed{worker.printed};
        if (worker.record >= slots_.capacity()) throw std::runtime_error{"a worker was handed over without its slot"};
        events_.watch(channel.get(), static_cast<std::uint64_t>(worker.pid));
        table_.add({.number = worker.number,
                    .generation = worker.generation,
                    .record = worker.record,
                    .process = ChildProcess{worker.pid, ChildProcess::Handle::Later},
                    .channel = std::move(channel),
                    .printed = std::move(printed),
                    .started = worker.started,
                    .state = worker.state,
                    .order = worker.order,
                    .patience = worker.patience,
                    .stopped = worker.stopped,
                    .unsent = worker.unsent});
    }
}

void Pool::describe(Handover& handover) const {
    const PoolSettings& settings = current_.plan.pool;
    handover.generation = current_.plan.number;
    handover.workers = settings.workers;
    handover.workers_ordered = settings.ordered.value_or(0);
    handover.workers_setting = find_option("workers")->print(*current_.plan.settings).at(0);
    handover.connections = settings.connections;
    handover.stop_timeout = settings.stop_timeout;
    handover.worker_timeout = settings.worker_timeout;
    handover.slots = slots_.memory_fd();
    handover.replaced = replaced_;
    handover.dropped_log_lines = dropped_before_ + dropped_log_lines();
    handover.deaths = to_json(deaths_);
    for (const auto& [generation, connections] : cut_)
        if (connections != 0) handover.cut.push_back({.generation = generation, .connections = connections});
    handover.groups = orphans_.asked();
    handover.workers_alive.clear();
    for (const WorkerSlot& slot : table_)
        handover.workers_alive.push_back({.pid = slot.process.pid(),
                                          .number = slot.number,
                                          .generation = slot.generation,
                                          .record = slot.record,
                                          .channel = slot.channel.get(),
                                          .printed = slot.printed.get(),
                                          .started = slot.started,
                                          .state = slot.state,
                                          .patience = slot.patience,
                                          .stopped = slot.stopped,
                                          .order = slot.order,
                                          .unsent = slot.unsent});
}

}  // namespace preforkd
