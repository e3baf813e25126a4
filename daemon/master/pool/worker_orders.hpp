#pragma once
// What the master says to a worker: orders over its channel, and signals, up to the last.
#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "common/channel/channel.hpp"
#include "common/channel/stopping.hpp"
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// Sends it now, or with send_unsent() if the channel has no place; save LookForClients, which may be lost.
void send(WorkerEntry& worker, Order order, std::uint32_t argument = every_listener);

/// SIGQUIT, once the orders to empty queues have been sent.  What it has has --stop-timeout then.
void ask_to_leave(WorkerEntry& worker);

/// What its channel had no place for before.
void send_unsent(WorkerEntry& worker);

/// In each service has the least busy worker that accepts, and has a place for another client, look for clients; not
/// `except`.
void nudge_least_busy(WorkerTable& workers, const WorkerEntry* except = nullptr);

/// A worker that is told to stop fast ends by itself; one that is stuck is killed then.
inline constexpr auto patience_after_term = fast_stop + std::chrono::seconds{1};

/// Why workers leave that those of `coming` replace.
[[nodiscard]] DeathOrder order_of_exchange(const Generation& coming) noexcept;

/// When one that is asked to leave now, and has `time` for its clients, is stuck; zero: it may take for ever.
[[nodiscard]] Deadline gone_by(std::chrono::milliseconds time, Clock::time_point now);

/// One that starts or leaves asks for so much more time from now on; never for less than it has.
void extend_patience(WorkerEntry& worker, std::string_view milliseconds, Clock::time_point now);

/// How a worker is asked to leave.
struct Dismissal {
    DeathOrder order{};
    Clock::time_point at{};
    Deadline patience{};                                ///< it is killed if it is not gone by then
    std::optional<std::chrono::milliseconds> within{};  ///< as FinishTime
    std::vector<std::uint32_t> closing{};               ///< listeners whose queue it serves first
};

/// Asks it to leave once it has served its clients.
void dismiss(WorkerEntry& worker, const Dismissal& how);

/// Ends it fast: its clients are not waited for.
void terminate(WorkerEntry& worker, DeathOrder order, Clock::time_point now);

/// It hangs: it is to write a stack, and die.
void abort_hung(WorkerEntry& worker, Clock::time_point now);

/// Nobody continues it.
void kill_lifeless(WorkerEntry& worker);
/// It has reported what no worker reports now, as `what` says.
void kill_out_of_turn(WorkerEntry& worker, std::string_view what);

/// It has not done in time what it was to do.
void kill_late(WorkerEntry& worker);

/// Has `dismiss_one` called for `count` of those that are `wanted`, which then are no more: the idle ones first.
/// Returns how many of `count` were not found.
int dismiss_some(WorkerTable& workers, int count, const auto& wanted, const auto& dismiss_one) {
    for (const bool idle_ones : {true, false})
        for (WorkerEntry& worker : workers) {
            if (count <= 0) return 0;
            if (!wanted(worker) || (worker.active() == 0) != idle_ones) continue;
            dismiss_one(worker);
            --count;
        }
    return count;
}

}  // namespace preforkd
