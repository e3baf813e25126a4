#pragma once
#include <cstdint>
#include <list>
#include <set>

#include "common/base/clock.hpp"
#include "common/base/unique_fd.hpp"
#include "common/channel/scoreboard.hpp"
#include "common/process/child_process.hpp"
#include "daemon/master/pool/death.hpp"
#include "daemon/master/pool/health_policy.hpp"

namespace preforkd {

/// What a worker has still to be told, because its channel had no place for it.
struct UnsentOrders {
    bool take_log = false;
    std::set<std::uint32_t> closing{};  ///< for EmptyQueue
    bool leave = false;                 ///< SIGQUIT, which counts on the orders to empty queues being there before it

    [[nodiscard]] bool any() const noexcept { return take_log || leave || !closing.empty(); }
    friend bool operator==(const UnsentOrders&, const UnsentOrders&) = default;
};

/// The master's book on one living worker.
struct WorkerSlot {
    enum class State {
        Starting,  ///< forked, has not reported in
        Ready,     ///< accepts
        Retiring,  ///< accepts still; asked for its replacement
        Leaving,   ///< told to drain
        Doomed,    ///< hung, or stopped for too long: is being ended
    };

    int number = 0;
    int generation = 1;
    std::size_t record = 0;  ///< its index in the shared slots
    ChildProcess process;
    UniqueFd channel{};
    UniqueFd printed{};  ///< what it has printed, for when it has died; empty: not ours to log
    Clock::time_point started{};
    State state = State::Starting;
    DeathOrder order = DeathOrder::None;  ///< why it was told to leave or die, for its certificate
    Deadline patience{};                  ///< Starting: ready by then; Leaving, Doomed: gone by then; else it is killed
    bool stopped = false;  ///< by a signal, and may be continued at any time: it does not count for the pool's size
    HealthHistory history{};
    UnsentOrders unsent{};
};

/// The living workers, oldest first.  A list: slots stay where they are while others come and go.
class WorkerTable {
public:
    WorkerSlot& add(WorkerSlot slot) { return slots_.emplace_back(std::move(slot)); }

    [[nodiscard]] WorkerSlot* find(pid_t pid) noexcept {
        for (WorkerSlot& slot : slots_)
            if (slot.process.pid() == pid) return &slot;
        return nullptr;
    }

    void remove(const WorkerSlot& gone) {
        slots_.remove_if([&](const WorkerSlot& slot) { return &slot == &gone; });
    }

    /// The lowest number, from 1, that no living worker has.
    [[nodiscard]] int free_number() const noexcept {
        for (int number = 1;; ++number) {
            bool taken = false;
            for (const WorkerSlot& slot : slots_) taken |= slot.number == number;
            if (!taken) return number;
        }
    }

    [[nodiscard]] int count(WorkerSlot::State state) const noexcept {
        int found = 0;
        for (const WorkerSlot& slot : slots_) found += slot.state == state ? 1 : 0;
        return found;
    }

    /// Those that go on, of one generation.
    [[nodiscard]] int count(WorkerSlot::State state, int generation) const noexcept {
        int found = 0;
        for (const WorkerSlot& slot : slots_)
            found += slot.state == state && slot.generation == generation && !slot.stopped ? 1 : 0;
        return found;
    }

    [[nodiscard]] bool empty() const noexcept { return slots_.empty(); }
    [[nodiscard]] auto begin() noexcept { return slots_.begin(); }
    [[nodiscard]] auto end() noexcept { return slots_.end(); }
    [[nodiscard]] auto begin() const noexcept { return slots_.begin(); }
    [[nodiscard]] auto end() const noexcept { return slots_.end(); }

private:
    std::list<WorkerSlot> slots_{};
};

}  // namespace preforkd
