#include "daemon/master/pool/copies_sizing.hpp"

#include <utility>

#include "common/process/cpu_count.hpp"
#include "common/process/process_tree.hpp"
#include "common/process/process_use.hpp"
#include "daemon/master/pool/leaving_policy.hpp"
#include "daemon/master/pool/queue_depth.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

using namespace std::chrono_literals;

namespace {

constexpr auto while_nobody_waits = 1s;
constexpr auto while_clients_wait = 250ms;
constexpr auto shortest_measurement = 900ms;
constexpr auto patience_with_surplus_copies = 60s;  // plan_copies()'s
constexpr auto between_copies_dismissed = 10s;

void keep_since(Deadline& since, bool holds, Clock::time_point now) {
    if (!holds)
        since.reset();
    else if (!since)
        since = now;
}

std::chrono::milliseconds how_long_since(const Deadline& since, Clock::time_point now) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(now - since.value_or(now));
}

/// Of the process above a copy, which reaps for it, and of all below.
std::chrono::milliseconds cpu_of_copy(pid_t worker) {
    std::chrono::milliseconds sum = cpu_time_of(worker).value_or(0ms);
    for (const pid_t pid : processes_below(worker)) sum += cpu_time_of(pid).value_or(0ms);
    return sum;
}

bool is_ready(const WorkerEntry& worker, const Generation& current) {
    return worker.generation == current.number && worker.state == WorkerEntry::State::Ready && !worker.stopped;
}

}  // namespace

/// In thousandths of a CPU since the last time; unset: that was a moment ago.
std::optional<int> CopiesSizing::measure_cpu(const Generation& current, const WorkerTable& workers,
                                             Clock::time_point now) {
    const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(now - measured_at_);
    if (elapsed < shortest_measurement) return std::nullopt;
    std::map<pid_t, std::chrono::milliseconds> cpu;
    std::chrono::milliseconds used{0};
    for (const WorkerEntry& worker : workers) {
        if (!is_ready(worker, current)) continue;
        const pid_t pid = worker.process.pid();
        const auto total = cpu_of_copy(pid);
        if (const auto before = cpu_.find(pid); before != cpu_.end()) used += std::max(0ms, total - before->second);
        cpu.emplace(pid, total);
    }
    cpu_ = std::move(cpu);
    measured_at_ = now;
    return static_cast<int>(used.count() * 1000 / elapsed.count());
}

void CopiesSizing::follow_demand(Generation& current, const WorkerTable& workers, Clock::time_point now) {
    if (next_look_ && !has_passed(next_look_, now)) return;
    if (cpus_ == 0) cpus_ = usable_cpus();
    int& wanted = current.pool.workers;
    CopiesView view{.size = wanted,
                    .ready = workers.count(WorkerEntry::State::Ready, {.generation = current.number}),
                    .cpus = cpus_,
                    .clients_wait = somebody_waits(*current.listeners, 0),
                    .burst = burst_};
    int going = 0;
    for (const WorkerEntry& worker : workers) going += worker.is_going() ? 1 : 0;
    view.may_leave = going < most_leaving(current.pool.range->most);
    keep_since(waiting_since_, view.clients_wait, now);
    if (const auto used = measure_cpu(current, workers, now)) {
        view.used_cpu = *used;
        keep_since(computing_since_, compute(view), now);
        keep_since(surplus_since_, suffice_with_one_less(view), now);
    } else if (view.clients_wait) {
        surplus_since_.reset();
    }
    view.waiting_for = how_long_since(waiting_since_, now);
    view.computing_for = how_long_since(computing_since_, now);
    view.surplus_for = how_long_since(surplus_since_, now);
    const SizePlan plan = plan_copies(view, *current.pool.range);
    burst_ = plan.next_burst;
    if (plan.grow > 0) {
        log(LogLevel::Info,
            view.clients_wait ? "pool grows by {by} to {workers} copies: clients wait in the queue"
                              : "pool grows by {by} to {workers} copies: those that are there compute all the time",
            {{"workers", std::int64_t{wanted + plan.grow}}, {"by", std::int64_t{plan.grow}}});
        waiting_since_.reset();
        computing_since_.reset();
    } else if (plan.shrink > 0) {
        log(LogLevel::Info, "pool shrinks by {by} to {workers} copies: they have little to do",
            {{"workers", std::int64_t{wanted - plan.shrink}}, {"by", std::int64_t{plan.shrink}}});
        surplus_since_ = now - patience_with_surplus_copies + between_copies_dismissed;
    }
    wanted += plan.grow - plan.shrink;
    next_look_ = now + (view.clients_wait ? std::chrono::milliseconds{while_clients_wait}
                                          : std::chrono::milliseconds{while_nobody_waits});
}

}  // namespace preforkd
