#pragma once
// What the workers do, in memory that master and workers share.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/noted_bytes.hpp"
#include "common/base/unique_fd.hpp"
#include "common/channel/errno_counts.hpp"
#include "common/channel/histogram.hpp"
#include "common/channel/traffic.hpp"
#include "common/log/untold_lines.hpp"

namespace preforkd {

enum class WorkerState : std::uint32_t {
    Vacant,
    Starting,
    Idle,              ///< in the accept queue, no connection
    InHandler,         ///< handler code is running
    WaitingForClient,  ///< connections, all of them waiting for their clients
    Draining,          ///< told to leave, no handler code running
};

/// Why it asks for a replacement, by Report::Kind::Retiring.  Append-only.
enum class RetirementReason : std::uint32_t { Unknown, MaxRequests, MaxMemory };

/// Whether it waits in the queues that it shares.  Unknown: a program that accepts by itself, or the image of before
/// does not say it.
enum class Accepting : std::uint32_t { Unknown, Yes, No };

/// One living worker's record.  Only its worker writes it (but see `traffic`, `dropped_log_lines` and `told_to_leave`),
/// between spawn and reaping; anybody may read it at any time. The layout is append-only: a master that upgrades itself
/// reads the records of the image before.
struct alignas(128) WorkerRecord {
    std::atomic<std::uint32_t> pid{};
    std::atomic<WorkerState> state{};
    std::atomic<std::int64_t> since_ns{};  ///< CLOCK_MONOTONIC of the last change of `state`, or sign of life
    std::atomic<std::uint64_t> accepted{};
    std::atomic<std::uint64_t> served{};             ///< ended connections
    std::atomic<std::uint64_t> active{};             ///< open connections
    std::atomic<std::uint64_t> dropped_log_lines{};  ///< by children that it forked, too
    NotedBytes<112> last_peer{};       ///< the sockaddr of the client that came last, as the kernel gave it
    ErrorNote last_error{};            ///< the last line of level error
    std::atomic<std::uint64_t> cut{};  ///< connections that were open when a stop would wait for clients no longer
    /// Of its handlers.  Children that it forked count here, too; one that outlives it for a moment may count for the
    /// worker that has the record next.
    Traffic traffic{};
    std::atomic<std::uint32_t> counts_traffic{};  ///< 0: it cannot, what its programs send passes it by
    UntoldLines untold_log_lines{};               ///< of which the master tells once it has gone
    SharedHistogram handler_busy{};  ///< how long handler code has kept its thread, from one wait to the next
    ErrnoCounts accept_errors{};
    std::atomic<RetirementReason> retirement{};
    std::atomic<std::uint32_t> program_pid{};  ///< of --run pool: the copy that it is; 0: it is none, or has none yet
    NotedBytes<120> program_status{};          ///< what that says of itself, STATUS= of sd_notify(3)
    std::atomic<Accepting> accepting{};
    /// Written by the master, before it sends the order: others are there for the clients to come.  A handler may keep
    /// the order from the worker's loop, which shall not take one more client when it comes back.
    std::atomic<std::uint32_t> told_to_leave{};
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "a worker killed at any instruction must leave no lock");

/// What dead workers had counted.
struct WorkerTotals {
    std::uint64_t accepted = 0;
    std::uint64_t served = 0;
    std::uint64_t dropped_log_lines = 0;
    std::uint64_t received_bytes = 0;
    std::uint64_t sent_bytes = 0;
    friend bool operator==(const WorkerTotals&, const WorkerTotals&) = default;
};

/// Adds one.  Cheaper than an atomic increment, which a record's only writer does not need.
inline void count(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

/// Writes a state and since when; call it when the state changes, never on a timer.
inline void enter(WorkerRecord& record, WorkerState state, Clock::time_point now = exact_time()) noexcept {
    record.since_ns.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    record.state.store(state, std::memory_order_relaxed);
}

/// The same where handler code gives back the thread whose record this is.
inline void leave_handler(WorkerRecord& record, WorkerState state, Clock::time_point now = exact_time()) noexcept {
    if (record.state.load(std::memory_order_relaxed) == WorkerState::InHandler)
        record.handler_busy.add(
            now.time_since_epoch() - std::chrono::nanoseconds{record.since_ns.load(std::memory_order_relaxed)},
            Writers::One);
    enter(record, state, now);
}

/// How long ago its worker wrote `since_ns`: what a worker writes may be any number, and is clamped to what can be.
[[nodiscard]] inline std::chrono::nanoseconds age_of(const WorkerRecord& record, Clock::time_point now) noexcept {
    const std::int64_t now_ns = now.time_since_epoch().count();
    const std::int64_t since_ns = record.since_ns.load(std::memory_order_relaxed);
    return std::chrono::nanoseconds{now_ns - std::clamp<std::int64_t>(since_ns, 0, now_ns)};
}

/// The records, in a memfd of fixed size that the master alone has mapped as a whole.
///
/// A record that is given to a worker begins a page, and that page is all of the memory that the worker gets to see:
/// the master's mapping is not inherited over a fork.  What a worker has no business with (which records are taken,
/// what the dead had counted) is the master's own memory; the header is there for a master of another version.
class Scoreboard {
public:
    explicit Scoreboard(std::size_t capacity);
    /// That of the image before this one; without `totals` what its header says.  Throws std::runtime_error when it
    /// cannot be read.
    Scoreboard(UniqueFd memory, const std::optional<WorkerTotals>& totals);
    ~Scoreboard();
    Scoreboard(const Scoreboard&) = delete;
    Scoreboard& operator=(const Scoreboard&) = delete;

    [[nodiscard]] WorkerRecord& operator[](std::size_t index) noexcept;
    [[nodiscard]] int memory_fd() const noexcept { return memory_.get(); }

    /// Takes a vacant record, zeroed, in state Starting.  Throws std::length_error when all are taken.
    [[nodiscard]] std::size_t acquire();

    /// Takes the record of a living worker of the image before.  Throws std::runtime_error where it cannot be its own.
    void adopt(std::size_t index);

    /// In the worker, after the fork: its own record, in the only page of this memory that it maps, the first of
    /// own_memory().
    [[nodiscard]] WorkerRecord& map_own(std::size_t index) const;

    /// Which page of records that is: no other worker has it.
    [[nodiscard]] static std::size_t page_of(std::size_t index) noexcept;

    /// Folds a reaped worker's counters into the totals and makes its record vacant.
    void release(std::size_t index) noexcept;

    [[nodiscard]] const WorkerTotals& totals() const noexcept { return totals_; }

private:
    struct Layout;
    void map();
    void note_totals() noexcept;

    UniqueFd memory_;
    Layout* layout_ = nullptr;
    std::size_t bytes_ = 0;
    std::vector<bool> taken_{};
    WorkerTotals totals_{};
};

}  // namespace preforkd
