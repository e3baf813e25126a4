#include <algorithm>

#include "common/base/quoted.hpp"
#include "common/log/log_output.hpp"
#include "daemon/master/pool/pool.hpp"

namespace preforkd {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;

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

/// Written by another process, perhaps after `now` was read.
std::chrono::milliseconds since_of(const WorkerRecord& record, Clock::time_point now) {
    const std::chrono::nanoseconds since{now.time_since_epoch().count() - record.since_ns.load(relaxed)};
    return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(since), {});
}

std::string state_of(const WorkerSlot& slot, const WorkerRecord& record) {
    if (slot.stopped) return "stopped";
    switch (slot.state) {
        case WorkerSlot::State::Starting: return "starting";
        case WorkerSlot::State::Retiring: return "retiring";
        case WorkerSlot::State::Leaving: return "leaving";
        case WorkerSlot::State::Doomed: return "hung";
        case WorkerSlot::State::Ready: break;
    }
    return name_of(record.state.load(relaxed));
}

std::optional<std::uint64_t> if_counted(const WorkerRecord& record, const std::atomic<std::uint64_t>& bytes) {
    if (record.counts_traffic.load(relaxed) == 0) return std::nullopt;
    return bytes.load(relaxed);
}

void add(std::optional<std::uint64_t>& total, const std::optional<std::uint64_t>& bytes) {
    if (bytes) total = total.value_or(0) + *bytes;
}

}  // namespace

/// By this process, by workers that live, and by those that do not.
std::uint64_t Pool::dropped_lines() {
    std::uint64_t lines = dropped_before_ + dropped_log_lines() + slots_.totals().dropped_log_lines;
    for (const WorkerSlot& slot : table_) lines += slots_[slot.record].dropped_log_lines.load(relaxed);
    return lines;
}

void Pool::describe(StatusReport& report, Clock::time_point now) {
    const WorkerTotals dead = slots_.totals();
    report.generation = static_cast<std::uint64_t>(current_.plan.number);
    report.workers_wanted = current_.plan.pool.workers;
    report.accepted = dead.accepted;
    report.served = dead.served;
    report.dropped_log_lines = dropped_lines();
    if (dead.received_bytes + dead.sent_bytes != 0) {
        report.received_bytes = dead.received_bytes;
        report.sent_bytes = dead.sent_bytes;
    }
    report.replaced = replaced_;
    for (const WorkerSlot& slot : table_) {
        const WorkerRecord& record = slots_[slot.record];
        const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - slot.started);
        const WorkerStatus& worker = report.workers.emplace_back(
            WorkerStatus{.number = slot.number,
                         .pid = slot.process.pid(),
                         .generation = static_cast<std::uint64_t>(slot.generation),
                         .state = state_of(slot, record),
                         .since = std::min(since_of(record, now), age),  // the record's clock is coarse
                         .age = age,
                         .connections = record.active.load(relaxed),
                         .accepted = record.accepted.load(relaxed),
                         .served = record.served.load(relaxed),
                         .received_bytes = if_counted(record, record.traffic.received),
                         .sent_bytes = if_counted(record, record.traffic.sent),
                         .last_error = printable(record.last_error.read()),
                         .last_peer = last_peer_of(record)});
        report.connections += worker.connections;
        report.accepted += worker.accepted;
        report.served += worker.served;
        add(report.received_bytes, worker.received_bytes);
        add(report.sent_bytes, worker.sent_bytes);
    }
}

}  // namespace preforkd
