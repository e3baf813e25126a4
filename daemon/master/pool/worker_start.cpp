#include "daemon/master/pool/worker_start.hpp"

#include <sys/wait.h>

#include <system_error>
#include <utility>

#include "common/channel/channel.hpp"
#include "common/process/probes.hpp"
#include "common/process/spawn.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

WorkerEntry start_worker(const Generation& generation, NewWorker worker, Scoreboard& scoreboard, CountRegister& counts,
                         SharedAreas& shared, int log_pipe, EpollSet& events, Clock::time_point now) {
    const int number = worker.number;
    const ServiceSettings service = service_at(generation.pool, worker.service);
    const std::size_t index = scoreboard.acquire();
    try {
        ChannelPair channel = open_channel();
        OutputPipe output = open_output_pipe();
        WorkerRecord& record = scoreboard[index];
        CountedSources sources{*generation.listeners, number};
        SigningPipes signing = generation.keys ? open_signing_pipes() : SigningPipes{};
        RowKeys row_keys = counts.keys_of(generation);
        const std::size_t place = Scoreboard::page_of(index);
        SharedEnds ends = shared.ends_for(service.shared, place);
        counts.clear(place);  // a child of a dead worker may have counted there since
        // Without a pidfd: nobody waits on it, Pool::reap() alone collects children, and it would double what a pool of
        // many workers takes of RLIMIT_NOFILE.
        ChildProcess process = spawn(
            [&] {
                return generation.body({.number = number,
                                        .generation = generation.number,
                                        .service = worker.service,
                                        .slot = worker.slot,
                                        .record = scoreboard.map_own(index),
                                        .rows = counts.map_own(place, row_keys->size()),
                                        .channel = std::move(channel.worker),
                                        .output = std::move(output),
                                        .log_pipe = log_pipe,
                                        .signing = std::move(signing.worker),
                                        .shared = std::move(ends)});
            },
            ChildProcess::Handle::Later);
        record.pid.store(static_cast<std::uint32_t>(process.pid()), std::memory_order_relaxed);
        try {
            events.watch(channel.master.reports.get(), static_cast<std::uint64_t>(process.pid()));
        } catch (const std::system_error&) {
            // It must not write into a record that is released, and another one's by then.
            process.signal(SIGKILL);
            ::waitpid(process.pid(), nullptr, 0);
            throw;
        }
        probe::worker_spawn(number, process.pid(), generation.number);
        log(LogLevel::Debug, "worker forked: {worker_number} (pid {worker_pid})",
            {{"worker_number", std::int64_t{number}}, {"worker_pid", std::int64_t{process.pid()}}});
        return {.number = number,
                .generation = generation.number,
                .service = service.name,
                .slot = worker.slot,
                .connections = service.connections,
                .record_index = index,
                .record = record,
                .process = std::move(process),
                .channel = std::move(channel.master),
                .printed = std::move(output.reader),
                .started = now,
                .patience = deadline_after(now, generation.pool.boot_timeout),
                .runs_programs = service.runs_programs,
                .sources = std::move(sources),
                .signing = std::move(signing.keys),
                .row_keys = std::move(row_keys)};
    } catch (const std::exception&) {
        scoreboard.release(index);
        throw;
    }
}

}  // namespace preforkd
