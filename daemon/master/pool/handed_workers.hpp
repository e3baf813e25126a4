#pragma once
// The master's workers, written into a handover and taken out of it.
#include <stdexcept>
#include <utility>

#include "daemon/master/pool/handover.hpp"

namespace preforkd {

[[nodiscard]] inline HandedWorker to_handed(const WorkerEntry& worker) {
    return {.pid = worker.process.pid(),
            .number = worker.number,
            .generation = worker.generation,
            .service = worker.service,
            .slot = worker.slot,
            .connections = worker.connections,
            .record = worker.record_index,
            .orders = worker.channel.orders.get(),
            .reports = worker.channel.reports.get(),
            .printed = worker.printed.get(),
            .started = worker.started,
            .state = worker.state,
            .patience = worker.patience,
            .told = worker.told,
            .runs_programs = worker.runs_programs,
            .hears_finish_time = worker.hears_finish_time,
            .stopped = worker.stopped,
            .order = worker.order,
            .unsent = worker.unsent,
            .signing_requests = worker.signing.requests.get(),
            .signing_answers = worker.signing.answers.get(),
            .key_process = worker.key_process};
}

/// Owns the descriptors, and its record in `scoreboard`.  Throws std::runtime_error if that cannot be its own.
[[nodiscard]] inline WorkerEntry from_handed(const HandedWorker& worker, Scoreboard& scoreboard) {
    ChannelEnd channel{.orders = UniqueFd{worker.orders}, .reports = UniqueFd{worker.reports}};
    UniqueFd printed{worker.printed};
    SigningEnd signing{.requests = UniqueFd{worker.signing_requests}, .answers = UniqueFd{worker.signing_answers}};
    scoreboard.adopt(worker.record);
    return {.number = worker.number,
            .generation = worker.generation,
            .service = worker.service,
            .slot = worker.slot,
            .connections = worker.connections,
            .record_index = worker.record,
            .record = scoreboard[worker.record],
            .process = ChildProcess{worker.pid, ChildProcess::Handle::Later},
            .channel = std::move(channel),
            .printed = std::move(printed),
            .started = worker.started,
            .state = worker.state,
            .order = worker.order,
            .told = worker.told != Clock::time_point{} ? worker.told : worker.started,
            .patience = worker.patience,
            .runs_programs = worker.runs_programs,
            .hears_finish_time = worker.hears_finish_time,
            .stopped = worker.stopped,
            .unsent = worker.unsent,
            .signing = std::move(signing),
            .key_process = worker.key_process,
            .was_signed_for = worker.key_process != 0};
}

}  // namespace preforkd
