#pragma once
// What the workers do, in memory that master and workers share.
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "common/base/clock.hpp"
#include "common/base/noted_bytes.hpp"
#include "common/base/unique_fd.hpp"
#include "common/channel/traffic.hpp"

namespace preforkd {

enum class WorkerState : std::uint32_t {
    Vacant,
    Starting,
    Idle,              ///< in the accept queue, no connection
    InHandler,         ///< handler code is running
    WaitingForClient,  ///< connections, all of them waiting for their clients
    Draining,          ///< told to leave, no handler code running
};

/// One living worker's record.  Only its worker writes it (but see `traffic` and `dropped_log_lines`), between spawn
/// and reaping; anybody may read it at any time. The layout is append-only: a master that upgrades itself reads the
/// records of the image before.
struct alignas(128) WorkerRecord {
    std::atomic<std::uint32_t> pid{};
    std::atomic<WorkerState> state{};
    std::atomic<std::int64_t> since_ns{};  ///< CLOCK_MONOTONIC of the last change of `state`, or sign of life, to 10 ms
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
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "a worker killed at any instruction must leave no lock");

/// What dead workers had counted.
struct WorkerTotals {
    std::uint64_t accepted = 0;
    std::uint64_t served = 0;
    std::uint64_t dropped_log_lines = 0;
    std::uint64_t received_bytes = 0;
    std::uint64_t sent_bytes = 0;
};

/// Adds one.  Cheaper than an atomic increment, which a record's only writer does not need.
inline void count(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

/// Writes a state and since when; call it when the state changes, never on a timer.
inline void enter(WorkerRecord& record, WorkerState state) noexcept {
    record.since_ns.store(recent_time().time_since_epoch().count(), std::memory_order_relaxed);
    record.state.store(state, std::memory_order_relaxed);
}

/// The records, in a memfd mapped by the master before its first fork.
class Scoreboard {
public:
    explicit Scoreboard(std::size_t capacity);
    /// Those of the image before this one, records of living workers included.  Throws std::runtime_error when they
    /// cannot be read.
    explicit Scoreboard(UniqueFd memory);
    ~Scoreboard();
    Scoreboard(const Scoreboard&) = delete;
    Scoreboard& operator=(const Scoreboard&) = delete;

    [[nodiscard]] WorkerRecord& operator[](std::size_t index) noexcept;
    [[nodiscard]] std::size_t capacity() const noexcept;
    [[nodiscard]] int memory_fd() const noexcept { return memory_.get(); }

    /// Takes a vacant record, zeroed, in state Starting.  Throws std::length_error when all are taken.
    [[nodiscard]] std::size_t acquire();

    /// Folds a reaped worker's counters into the totals and makes its record vacant.
    void release(std::size_t index) noexcept;

    [[nodiscard]] WorkerTotals totals() const noexcept;

private:
    struct Layout;
    void map();

    UniqueFd memory_;
    Layout* layout_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace preforkd
