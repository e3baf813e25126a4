#include "daemon/master/pool/leaving.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "common/base/counted.hpp"
#include "common/base/units.hpp"

namespace preforkd {
namespace {

std::chrono::milliseconds told_for(const WorkerEntry& worker, Clock::time_point now) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(now - worker.told);
}

/// Of one that is going.
Leaving look_at(const WorkerEntry& worker, const Generation& current, Clock::time_point now) {
    LeavingLook look{.told_for = told_for(worker, now),
                     .killed = worker.state == WorkerEntry::State::Doomed || worker.order == DeathOrder::StopTimeout};
    if (worker.patience) look.left = std::chrono::duration_cast<std::chrono::milliseconds>(*worker.patience - now);
    return judge(look, current.pool.stop_timeout);
}

SlotView view_of(const Generation& current, const WorkerTable& workers, Clock::time_point now) {
    SlotView view{.size = current.pool.range ? current.pool.range->most : current.pool.workers};
    for (const WorkerEntry& worker : workers) {
        if (!worker.is_going()) {
            ++view.staying;
            continue;
        }
        switch (look_at(worker, current, now)) {
            case Leaving::Soon: ++view.soon; break;
            case Leaving::InTime: ++view.in_time; break;
            case Leaving::NotSoon: ++view.not_soon; break;
        }
    }
    return view;
}

/// Others have replaced it, or its generation, and it is not gone soon.
bool lasts(const WorkerEntry& worker, const Generation& current, Clock::time_point now) {
    const bool replaced = worker.generation != current.number || worker.order == DeathOrder::Recycle;
    return worker.is_going() && replaced && look_at(worker, current, now) != Leaving::Soon;
}

}  // namespace

int kept_although_retiring(const Generation& plan, std::size_t service, const WorkerTable& workers) {
    const ServiceSettings wanted = service_at(plan.pool, service);
    if (!reload_time(wanted.runs_programs, plan.pool.reload_timeout)) return 0;
    const auto is_going = [&](const WorkerEntry& worker) { return worker.is_going() && worker.service == wanted.name; };
    const auto going = static_cast<int>(std::ranges::count_if(workers, is_going));
    const int retiring =
        workers.count(WorkerEntry::State::Retiring, {.generation = plan.number, .service = wanted.name});
    const int left_to_reloads = wanted.workers;
    return retiring - std::clamp(most_leaving(wanted.workers) - left_to_reloads - going, 0, retiring);
}

void dismiss_surplus(WorkerTable& workers, const Generation& plan, std::size_t service, const PoolSettings& current,
                     Clock::time_point now) {
    using State = WorkerEntry::State;
    const ServiceSettings wanted = service_at(plan.pool, service);
    const WorkersOf own{.generation = plan.number, .service = wanted.name};
    const int retiring = workers.count(State::Retiring, own);
    const int surplus = workers.count(State::Ready, own) + retiring - wanted.workers;
    const auto has_a_twin = [&](const WorkerEntry& worker) {
        return std::ranges::any_of(workers, [&](const WorkerEntry& each) {
            return &each != &worker && each.slot == worker.slot && each.state == worker.state && own.has(each);
        });
    };
    const auto dismiss_in = [&](State state, int count, const auto& how) {
        const auto is_one = [&](const WorkerEntry& worker) { return worker.state == state && own.has(worker); };
        const auto dismiss_one = [&](WorkerEntry& worker) { dismiss(worker, how(worker)); };
        // Where queues are some worker's own, each keeps one.
        const int more = dismiss_some(
            workers, count, [&](const WorkerEntry& worker) { return is_one(worker) && has_a_twin(worker); },
            dismiss_one);
        dismiss_some(workers, more, is_one, dismiss_one);
    };
    // A worker that retires goes once its replacement accepts, so capacity never dips; also if that one retires at
    // once.
    dismiss_in(State::Retiring, std::min(surplus, retiring),
               [&](const WorkerEntry& worker) { return replaced_by(current, worker, DeathOrder::Recycle, {}, now); });
    dismiss_in(State::Ready, surplus - retiring, [&](const WorkerEntry& worker) {
        // Of copies nobody knows which has clients: where the pool shrinks by itself none is cut short for that.
        const bool by_itself = plan.pool.runs_copies && plan.pool.range;
        return by_itself
                   ? replaced_by(current, worker, DeathOrder::Resize, {}, now)
                   : Dismissal{.order = DeathOrder::Resize, .at = now, .patience = gone_by(current.stop_timeout, now)};
    });
}

Slots slots_beside(const Generation& current, const WorkerTable& workers, Clock::time_point now) {
    return judge(view_of(current, workers, now));
}

std::string why_no_slots(const Generation& current, const WorkerTable& workers, Clock::time_point now) {
    constexpr std::size_t most_named = 3;
    std::vector<const WorkerEntry*> lasting;
    for (const WorkerEntry& worker : workers)
        if (lasts(worker, current, now)) lasting.push_back(&worker);
    std::ranges::stable_sort(lasting, {}, [](const WorkerEntry* worker) { return worker->told; });
    std::vector<std::string> longest;
    for (const WorkerEntry* worker : lasting) {
        if (longest.size() == most_named) break;
        const auto age = std::chrono::floor<std::chrono::seconds>(told_for(*worker, now));
        longest.push_back(
            fmt::format("worker {} (pid {}) for {}", worker->number, worker->process.pid(), to_string(age)));
    }
    const SlotView view = view_of(current, workers, now);
    return fmt::format(
        "{} of before still serve, and more than {} would with the {} of now; longest: {}; to cut the oldest "
        "generation: preforkctl reload --force",
        counted(lasting.size(), "worker"), most_leaving(view.size), view.staying, fmt::join(longest, ", "));
}

void end_oldest(const Generation& current, WorkerTable& workers, Clock::time_point now) {
    std::map<int, int> lasting;
    for (const WorkerEntry& worker : workers)
        if (lasts(worker, current, now)) ++lasting[worker.generation];
    std::vector<int> sizes;
    for (const auto& [generation, size] : lasting) sizes.push_back(size);
    lasting.erase(std::next(lasting.begin(),
                            static_cast<std::ptrdiff_t>(generations_to_end(sizes, view_of(current, workers, now)))),
                  lasting.end());
    for (WorkerEntry& worker : workers)
        if (worker.state == WorkerEntry::State::Leaving && lasting.contains(worker.generation))
            terminate(worker, DeathOrder::Reload, now);
}

Dismissal replaced_by(const PoolSettings& coming, const WorkerEntry& worker, DeathOrder order,
                      const std::vector<std::uint32_t>& closing, Clock::time_point now) {
    // One of an image before that knew no such order has --stop-timeout, whatever it is told.
    const auto within =
        worker.hears_finish_time ? reload_time(worker.runs_programs, coming.reload_timeout) : std::nullopt;
    return {.order = order,
            .at = now,
            .patience = gone_by(within.value_or(coming.stop_timeout), now),
            .within = within,
            .closing = closing};
}

}  // namespace preforkd
