#include "daemon/master/pool/worker_status.hpp"

#include <algorithm>

#include "common/base/quoted.hpp"

namespace preforkd {

namespace {

std::string name_of(WorkerState state) {
    switch (state) {
        case WorkerState::Vacant:
        case WorkerState::Starting: return "starting";
        case WorkerState::Idle: return "idle";
        case WorkerState::InHandler: return "busy";
        case WorkerState::WaitingForClient: return "waiting";
        case WorkerState::Draining: return "leaving";
    }
    return "";
}

std::string state_of(const WorkerEntry& worker) {
    if (worker.stopped) return "stopped";
    switch (worker.state) {
        case WorkerEntry::State::Starting: return "starting";
        case WorkerEntry::State::Retiring: return "retiring";
        case WorkerEntry::State::Leaving: return "leaving";
        case WorkerEntry::State::Doomed: return "hung";
        case WorkerEntry::State::Ready: break;
    }
    const WorkerState state = worker.record.state.load(std::memory_order_relaxed);
    // Whether it has clients only the program knows.
    if (worker.record.program_pid.load(std::memory_order_relaxed) != 0 &&
        (state == WorkerState::Idle || state == WorkerState::InHandler))
        return "running";
    return name_of(state);
}

std::optional<std::uint64_t> if_counted(const WorkerRecord& record, const std::atomic<std::uint64_t>& bytes) {
    if (record.counts_traffic.load(std::memory_order_relaxed) == 0) return std::nullopt;
    return bytes.load(std::memory_order_relaxed);
}

void add(std::optional<std::uint64_t>& total, const std::optional<std::uint64_t>& bytes) {
    if (bytes) total = total.value_or(0) + *bytes;
}

}  // namespace

void add_size(const PoolSettings& pool, StatusReport& report) {
    report.workers_wanted = pool.workers;
    report.workers_min = pool.range ? pool.range->fewest : pool.workers;
    report.workers_max = pool.range ? pool.range->most : pool.workers;
    report.model = pool.runs_copies ? "pool" : to_string(pool.model);
    for (std::size_t index = 0; index < count_services(pool); ++index) {
        const ServiceSettings each = service_at(pool, index);
        if (each.runs_copies) continue;
        const auto workers = static_cast<std::uint64_t>(each.workers);
        report.connection_slots += std::uint64_t{each.connections} * workers;
        report.connection_slots_asked += std::uint64_t{each.connections_asked} * workers;
    }
}

void add_dead(const WorkerTotals& dead, StatusReport& report) {
    report.accepted = dead.accepted;
    report.served = dead.served;
    if (dead.received_bytes + dead.sent_bytes == 0) return;
    report.received_bytes = dead.received_bytes;
    report.sent_bytes = dead.sent_bytes;
}

void add_workers(WorkerTable& workers, Clock::time_point now, StatusReport& report) {
    for (WorkerEntry& worker : workers) {
        const WorkerRecord& record = worker.record;
        const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(age_of(record, now));
        const std::uint64_t program = record.program_pid.load(std::memory_order_relaxed);
        const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - worker.started);
        const bool leaves = worker.state == WorkerEntry::State::Leaving;
        const auto leaving_for = std::chrono::duration_cast<std::chrono::milliseconds>(now - worker.told);
        const WorkerStatus& added = report.workers.emplace_back(WorkerStatus{
            .number = worker.number,
            .pid = worker.process.pid(),
            .program_pid = program != 0 ? std::optional{program} : std::nullopt,
            .generation = static_cast<std::uint64_t>(worker.generation),
            .service = worker.service,
            .state = state_of(worker),
            .since = std::min(since, age),  // the record's clock is coarse
            .age = age,
            .leaving_for = leaves ? std::optional{leaving_for} : std::nullopt,
            .connections = record.active.load(std::memory_order_relaxed),
            .connection_slots = program == 0 ? std::optional{std::uint64_t{worker.connections}} : std::nullopt,
            .accepted = record.accepted.load(std::memory_order_relaxed),
            .served = record.served.load(std::memory_order_relaxed),
            .received_bytes = if_counted(record, record.traffic.received),
            .sent_bytes = if_counted(record, record.traffic.sent),
            .last_error = printable(record.last_error.read()),
            .last_peer = last_peer_of(record),
            .program_status = printable(record.program_status.read()),
            .used = worker.used.of(program != 0 ? static_cast<pid_t>(program) : worker.process.pid(), now)});
        report.connections += added.connections;
        report.accepted += added.accepted;
        report.served += added.served;
        add(report.received_bytes, added.received_bytes);
        add(report.sent_bytes, added.sent_bytes);
    }
}

}  // namespace preforkd
