#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/channel/count_board.hpp"
#include "common/control/service_counts.hpp"
#include "common/control/status_report.hpp"
#include "daemon/master/pool/generation.hpp"
#include "daemon/master/pool/worker_table.hpp"

namespace preforkd {

/// What the service has counted, ever: the master itself, workers that live, and those that do not.
///
/// A listener is known by its endpoint, so that over reloads and upgrades it goes on counting; who has none any more is
/// forgotten with the last worker that had it.  What is told never becomes less, whatever a worker writes.
class CountRegister {
public:
    /// Where there is no memory for it, the log says so, and listeners have no counts.
    explicit CountRegister(std::size_t workers);
    /// Goes on with those of the image before: its memory and its text, as far as this version reads them.
    CountRegister(std::size_t workers, UniqueFd memory, std::string_view text);

    // To the next image
    [[nodiscard]] int memory_fd() const noexcept { return board_ ? board_->memory_fd() : -1; }
    [[nodiscard]] std::string to_text() const;

    /// Whose rows the workers of `generation` have, by their endpoints in the order of its listeners.
    [[nodiscard]] RowKeys keys_of(const Generation& generation);
    /// The same of a worker of the image before; never null.
    [[nodiscard]] RowKeys keys_of(int generation) const;

    /// For a worker that is about to be forked: nobody has counted in its place yet.
    void clear(std::size_t place) const noexcept {
        if (board_) board_->clear(place);
    }
    /// In that worker: see CountBoard.
    [[nodiscard]] std::span<ListenerRow> map_own(std::size_t place, std::size_t rows) const {
        return board_ ? board_->map_own(place, rows) : std::span<ListenerRow>{};
    }

    /// Before one of `workers` goes: its connections were open beside those of the others.
    void keep_most(const WorkerTable& workers, Clock::time_point now);
    /// What `worker` has counted until its death, and that.
    void add_death(const WorkerEntry& worker, const Death& death, Clock::time_point now);

    // How a reload that somebody has asked for, or an upgrade, has ended; `generation` serves now.
    void add_reload(bool done, int generation);
    void add_upgrade(bool done);

    /// Forgets what neither `current` nor `next` (null: there is none) nor a worker has.
    void forget_removed(const WorkerTable& workers, const Generation& current, const Generation* next);

    /// The master's own.
    [[nodiscard]] ServiceCounts& own() noexcept { return dead_; }

    /// Fills in what is counted of the listeners that `report` has, and of the service.
    void describe(StatusReport& report, const WorkerTable& workers, Clock::time_point now);

private:
    [[nodiscard]] std::span<const ListenerRow> rows_of(const WorkerEntry& worker) const noexcept;
    /// By endpoint: the sum of what its workers had open at once, each for itself.
    [[nodiscard]] std::map<std::string, MostOpen> most_of(const WorkerTable& workers, Clock::time_point now) const;
    /// Adds what `worker` has counted so far.
    void add_counts(ServiceCounts& sum, const WorkerEntry& worker, Clock::time_point now);

    std::unique_ptr<CountBoard> board_;  ///< null: there is no memory for it
    std::map<int, RowKeys> keys_{};      ///< by generation
    ServiceCounts dead_{};               ///< of dead workers, and the master's own
    ServiceCounts told_{};
    std::map<std::string, MostOpen, std::less<>> most_{};  ///< by endpoint, when a worker died last
};

}  // namespace preforkd
