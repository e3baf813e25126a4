#include "daemon/ctl/looks.hpp"

#include <algorithm>
#include <array>

namespace preforkd {
namespace {

using std::chrono::milliseconds;

const ListenerStatus* find_before(std::string_view endpoint, const Looks& looks) {
    const auto found = std::ranges::find(looks.before.listeners, endpoint, &ListenerStatus::endpoint);
    return found == looks.before.listeners.end() ? nullptr : &*found;
}

double share(milliseconds part, milliseconds whole) noexcept {
    if (whole.count() <= 0 || part.count() <= 0) return 0;
    return static_cast<double>(part.count()) / static_cast<double>(whole.count());
}

milliseconds used_ever(const StatusReport& report) noexcept {
    milliseconds used = report.counts.cpu;
    for (const WorkerStatus& each : report.workers) used += each.used.cpu.value_or(milliseconds{});
    return used;
}

}  // namespace

bool counts_on(const StatusReport& now, const StatusReport& before) noexcept {
    return now.pid == before.pid && now.uptime >= before.uptime;
}

ListenerChange change_of(const ListenerStatus& listener, const Looks& looks) {
    ListenerChange change{.counts = listener.counts.value_or(ListenerCounts{}),
                          .dropped = listener.dropped.value_or(0),
                          .refused = listener.refused.value_or(RefusedClients{}),
                          .program_starts = listener.program.value_or(ProgramStarts{}).starts};
    const ListenerStatus* const before = find_before(listener.endpoint, looks);
    if (before == nullptr) return change;
    if (before->counts) combine(change.counts, *before->counts, growth);
    change.dropped = growth(change.dropped, before->dropped.value_or(0));
    const RefusedClients refused = before->refused.value_or(RefusedClients{});
    change.refused = {.denied = growth(change.refused.denied, refused.denied),
                      .per_source = growth(change.refused.per_source, refused.per_source),
                      .rate = growth(change.refused.rate, refused.rate)};
    change.program_starts = growth(change.program_starts, before->program.value_or(ProgramStarts{}).starts);
    change.queued_before = before->queue.queued.value_or(0);
    return change;
}

ServiceCounts change_of_counts(const Looks& looks) {
    ServiceCounts counts = looks.now.counts;
    combine(counts, looks.before.counts, growth);
    return counts;
}

ListenerCounts change_of_listeners(const Looks& looks) {
    ListenerCounts sum;
    for (const ListenerStatus& each : looks.now.listeners) combine(sum, change_of(each, looks).counts, sum_of);
    return sum;
}

double rate_of(std::uint64_t count, const Looks& looks) noexcept {
    return looks.between.count() <= 0 ? 0
                                      : static_cast<double>(count) * 1000 / static_cast<double>(looks.between.count());
}

const WorkerStatus* find_before(const WorkerStatus& worker, const Looks& looks) noexcept {
    const auto found = std::ranges::find(looks.before.workers, worker.pid, &WorkerStatus::pid);
    return found == looks.before.workers.end() ? nullptr : &*found;
}

double processors_of(const WorkerStatus& worker, const Looks& looks) noexcept {
    if (!worker.used.cpu) return 0;
    const WorkerStatus* const before = find_before(worker, looks);
    return share(*worker.used.cpu - (before ? before->used.cpu.value_or(*worker.used.cpu) : milliseconds{}),
                 looks.between);
}

double processors_of_all(const Looks& looks) noexcept {
    return share(used_ever(looks.now) - used_ever(looks.before), looks.between);
}

bool is_ready(const WorkerStatus& worker) noexcept {
    constexpr std::array<std::string_view, 4> not_ready{"starting", "leaving", "hung", "stopped"};
    return std::ranges::find(not_ready, worker.state) == not_ready.end();
}

std::size_t ready_workers(const StatusReport& report) noexcept {
    return static_cast<std::size_t>(std::ranges::count_if(report.workers, is_ready));
}

}  // namespace preforkd
