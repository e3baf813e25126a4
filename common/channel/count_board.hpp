#pragma once
// What the workers count of each listener, and their handlers by themselves, in memory that master and workers share.
#include <cstddef>
#include <span>

#include "common/base/unique_fd.hpp"
#include "common/channel/handler_counts.hpp"
#include "common/channel/listener_counts.hpp"

namespace preforkd {

/// Rows of listeners for each worker, in a memfd of fixed size that the master alone has mapped as a whole; what of it
/// has never been written takes no memory.
///
/// Beside the scoreboard, whose records are no larger than what the first releases knew: those take a scoreboard over
/// as it is, and leave this behind.
class CountBoard {
public:
    explicit CountBoard(std::size_t workers);
    /// That of the image before this one.  Throws std::runtime_error when this version cannot read it.
    explicit CountBoard(UniqueFd memory);
    ~CountBoard();
    CountBoard(const CountBoard&) = delete;
    CountBoard& operator=(const CountBoard&) = delete;

    [[nodiscard]] int memory_fd() const noexcept { return memory_.get(); }

    /// Those of a worker; none where there is no such place.
    [[nodiscard]] std::span<ListenerRow> rows(std::size_t place) noexcept;
    /// Those of its handlers, in what the rows leave of their last page; an image that does not know them leaves it
    /// zero.
    [[nodiscard]] std::span<HandlerCount> handler_counts(std::size_t place) noexcept;

    /// All zero, before another worker has them.
    void clear(std::size_t place) const noexcept;

    /// In the worker, after the fork: as many of its rows as it needs, in the only pages of this memory that it maps,
    /// behind its record; its handlers count there from now on.  None where there is no such place.
    [[nodiscard]] std::span<ListenerRow> map_own(std::size_t place, std::size_t rows) const;

private:
    struct Header;
    void map();
    [[nodiscard]] static std::size_t offset_of(std::size_t place) noexcept;

    UniqueFd memory_;
    Header* header_ = nullptr;
    std::size_t bytes_ = 0;
    std::size_t places_ = 0;
};

}  // namespace preforkd
