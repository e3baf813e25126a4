#pragma once
// The counts of one listener, in a memfd that its workers share over reloads and upgrades.
#include "common/base/unique_fd.hpp"
#include "common/channel/source_cells.hpp"
#include "common/net/listener.hpp"

namespace preforkd {

/// Made by the master before it forks who counts there; all of it is theirs to write.  What of it has never been used
/// takes no memory: a row for each source that has come, until all are taken.
class SourceTable {
public:
    SourceTable();
    /// That of the image before this one.  Throws std::runtime_error when it cannot be read.
    explicit SourceTable(UniqueFd memory);
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
};

/// What each source of `listener` may have.
[[nodiscard]] SourceQuota quota_of(const Listener& listener);

/// A table for a listener whose clients can be refused or have to be counted, unless it has one; and none for others.
void make_sources(Listener& listener);

}  // namespace preforkd
