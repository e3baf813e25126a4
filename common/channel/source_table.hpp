#pragma once
// The counts of one listener, in a memfd that its workers share over reloads and upgrades.
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/unique_fd.hpp"
#include "common/channel/source_cells.hpp"
#include "common/net/listener.hpp"

namespace preforkd {

/// How many clients of a listener were refused since it was bound, by the reason; its tables may have come and gone.
class RefusalTotals {
public:
    using Counts = std::array<std::uint64_t, refusal_reasons>;

    RefusalTotals() = default;
    /// What the image before this one had counted, without what is in a table that it has handed over.
    explicit RefusalTotals(const Counts& before) : gone_{before} {}
    RefusalTotals(const RefusalTotals&) = delete;
    RefusalTotals& operator=(const RefusalTotals&) = delete;

    [[nodiscard]] Counts sum() const noexcept;

private:
    friend class SourceTable;
    Counts gone_{};
    std::vector<const SourceCells*> living_{};  ///< of workers that are still leaving, too
};

/// Made by the master before it forks who counts there; all of it is theirs to write.  What of it has never been used
/// takes no memory: a row for each source that has come, until all are taken.
class SourceTable {
public:
    explicit SourceTable(std::shared_ptr<RefusalTotals> totals = std::make_shared<RefusalTotals>());
    /// That of the image before this one.  Throws std::runtime_error when it cannot be read.
    explicit SourceTable(UniqueFd memory, std::shared_ptr<RefusalTotals> totals = std::make_shared<RefusalTotals>());
    ~SourceTable();
    SourceTable(const SourceTable&) = delete;
    SourceTable& operator=(const SourceTable&) = delete;

    [[nodiscard]] const SourceCells& cells() const noexcept { return cells_; }
    [[nodiscard]] int memory_fd() const noexcept { return memory_.get(); }

    /// In a worker: what it forks, and what its handlers fork, has no business there.
    void keep_from_children() const noexcept;

private:
    [[nodiscard]] std::span<std::uint64_t> map();
    [[nodiscard]] SourceHashKey read_header() const;

    UniqueFd memory_;
    std::span<std::uint64_t> words_;
    SourceCells cells_;
    std::shared_ptr<RefusalTotals> totals_;
};

/// What each source of `listener` may have.
[[nodiscard]] SourceQuota quota_of(const Listener& listener);

/// A table for a listener whose clients can be refused or have to be counted, or of which one worker alone shall know,
/// unless it has one; and none for others.
void make_sources(Listener& listener);

}  // namespace preforkd
