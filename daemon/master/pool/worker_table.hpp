#pragma once
#include <algorithm>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.hpp"
#include "common/base/token_bucket.hpp"
#include "common/base/unique_fd.hpp"
#include "common/channel/channel.hpp"
#include "common/channel/scoreboard.hpp"
#include "common/process/child_process.hpp"
#include "common/process/process_use.hpp"
#include "common/tls/signing.hpp"
#include "daemon/master/pool/counted_sources.hpp"
#include "daemon/master/pool/death.hpp"
#include "daemon/master/pool/health_policy.hpp"

namespace preforkd {

/// What a worker has still to be told, because its channel had no place for it.
struct UnsentOrders {
    std::set<std::uint32_t> closing{};             ///< for EmptyQueue
    std::optional<std::uint32_t> finish_within{};  ///< for FinishWithin
    bool leave = false;                            ///< SIGQUIT, which counts on the others being there before it

    [[nodiscard]] bool any() const noexcept { return leave || finish_within || !closing.empty(); }
    friend bool operator==(const UnsentOrders&, const UnsentOrders&) = default;
};

/// The endpoints of the listeners that a worker's rows are of, in their order.
using RowKeys = std::shared_ptr<const std::vector<std::string>>;

/// Far above what the busiest worker of connections of no length reports, who pauses after each of them.
inline constexpr TokenRate most_reports{.burst = 200'000, .per_second = 200'000};

/// What the master knows of one living worker.
struct WorkerEntry {
    enum class State {
        Starting,  ///< forked, has not reported in
        Ready,     ///< accepts
        Retiring,  ///< accepts still; asked for its replacement
        Leaving,   ///< told to drain
        Doomed,    ///< hung, stopped for too long, or reported out of turn: is being ended
    };

    int number = 0;
    int generation = 1;
    std::string service{};         ///< whose it is, as ServiceSettings has it
    int slot = 0;                  ///< as WorkerHandoff has it
    std::size_t connections = 0;   ///< that it has at once at most
    std::size_t record_index = 0;  ///< in the scoreboard
    WorkerRecord& record;
    ChildProcess process;
    ChannelEnd channel{};
    UniqueFd printed{};  ///< what it has printed, for when it has died; empty: not ours to log
    Clock::time_point started{};
    State state = State::Starting;
    DeathOrder order = DeathOrder::None;  ///< why it was told to leave or die, for the report of its death
    Clock::time_point told{};             ///< Leaving: since when it is
    Deadline patience{};                  ///< Starting: ready by then; Leaving, Doomed: gone by then; else it is killed
    bool boot_extended = false;           ///< Starting: it has asked for more time, and got it
    bool runs_programs = false;           ///< for its clients, or it is a copy of one
    bool hears_finish_time = true;        ///< FinishWithin: not one of an image that did not know it
    bool stopped = false;  ///< by a signal, and may be continued at any time: it does not count for the pool's size
    HealthHistory history{};
    UnsentOrders unsent{};
    CountedSources sources{};
    TokenBucket reports{};        ///< as many as most_reports allows
    bool failed = false;          ///< it has said so: its last word
    SigningEnd signing{};         ///< what a key process needs to sign for it; empty: it has its keys itself
    pid_t key_process = 0;        ///< that does; 0: none yet, or it has died
    bool was_signed_for = false;  ///< by one that has died
    SampledUse used{};
    RowKeys row_keys = std::make_shared<const std::vector<std::string>>();  ///< never null

    /// Its open connections.
    [[nodiscard]] std::uint64_t active() const noexcept { return record.active.load(std::memory_order_relaxed); }
    [[nodiscard]] bool is_going() const noexcept { return state == State::Leaving || state == State::Doomed; }
    /// Whether it says that it is in the queues.
    [[nodiscard]] bool may_accept() const noexcept {
        return state != State::Doomed && !stopped && record.accepting.load(std::memory_order_relaxed) == Accepting::Yes;
    }
};

/// Of a generation those of one service that go on.
struct WorkersOf {
    int generation = 1;
    std::string_view service{};

    [[nodiscard]] bool has(const WorkerEntry& worker) const noexcept {
        return worker.generation == generation && worker.service == service && !worker.stopped;
    }
};

/// The living workers, oldest first.  A list: entries stay where they are while others come and go.
class WorkerTable {
public:
    WorkerEntry& add(WorkerEntry worker) { return workers_.emplace_back(std::move(worker)); }

    [[nodiscard]] WorkerEntry* find(pid_t pid) noexcept {
        for (WorkerEntry& worker : workers_)
            if (worker.process.pid() == pid) return &worker;
        return nullptr;
    }

    void remove(const WorkerEntry& gone) {
        workers_.remove_if([&](const WorkerEntry& worker) { return &worker == &gone; });
    }

    /// The lowest number, from 1, that no living worker has.
    [[nodiscard]] int free_number() const noexcept {
        for (int number = 1;; ++number)
            if (std::ranges::find(workers_, number, &WorkerEntry::number) == workers_.end()) return number;
    }

    /// The lowest slot, from 0, that none has of those that go on; one that retires is to be replaced.
    [[nodiscard]] int free_slot(const WorkersOf& which) const noexcept {
        for (int slot = 0;; ++slot)
            if (std::ranges::none_of(workers_, [&](const WorkerEntry& worker) {
                    using enum WorkerEntry::State;
                    return worker.slot == slot && which.has(worker) &&
                           (worker.state == Starting || worker.state == Ready);
                }))
                return slot;
    }

    [[nodiscard]] int count(WorkerEntry::State state) const noexcept {
        return static_cast<int>(std::ranges::count(workers_, state, &WorkerEntry::state));
    }

    /// Those that go on.
    [[nodiscard]] int count(WorkerEntry::State state, const WorkersOf& which) const noexcept {
        return static_cast<int>(std::ranges::count_if(
            workers_, [&](const WorkerEntry& worker) { return worker.state == state && which.has(worker); }));
    }

    /// When the last of those that start in `generation` gives up, where one has asked for time; unset: none has.
    [[nodiscard]] Deadline boot_extended_to(int generation) const noexcept {
        Deadline last;
        for (const WorkerEntry& worker : workers_)
            if (worker.generation == generation && worker.state == WorkerEntry::State::Starting && worker.boot_extended)
                last = std::max(last, worker.patience);
        return last;
    }

    /// The sum of a counter of their records; with `service` of those that are its.
    [[nodiscard]] std::uint64_t total(std::atomic<std::uint64_t> WorkerRecord::*counter,
                                      std::optional<std::string_view> service = {}) const noexcept {
        std::uint64_t sum = 0;
        for (const WorkerEntry& worker : workers_)
            if (!service || worker.service == *service) sum += (worker.record.*counter).load(std::memory_order_relaxed);
        return sum;
    }

    [[nodiscard]] bool empty() const noexcept { return workers_.empty(); }
    [[nodiscard]] auto begin() noexcept { return workers_.begin(); }
    [[nodiscard]] auto end() noexcept { return workers_.end(); }
    [[nodiscard]] auto begin() const noexcept { return workers_.begin(); }
    [[nodiscard]] auto end() const noexcept { return workers_.end(); }

private:
    std::list<WorkerEntry> workers_{};
};

}  // namespace preforkd
