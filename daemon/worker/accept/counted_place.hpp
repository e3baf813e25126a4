#pragma once
// What a client takes of the limits of its listener.
#include <cstdint>
#include <memory>

#include "common/channel/source_cells.hpp"

namespace preforkd {

/// Given back when it is destroyed, in the thread that accepts: one writer has each column.  Empty where nothing is
/// counted: then it is a pointer, and no more.
class CountedPlace {
public:
    CountedPlace() noexcept = default;

    /// A client of a listener with max=, which has counted it.  `cells` outlives it.
    void add_total(const SourceCells& cells, SourceCells::Column column) { counts(cells, column).is_in_total = true; }

    /// Its source has counted it, in `row`.
    void add_row(const SourceCells& cells, SourceCells::Column column, std::uint32_t row) {
        counts(cells, column).row = row;
    }

    void give_back() noexcept { counts_ = nullptr; }

private:
    struct Counts {
        Counts(const SourceCells& its_cells, SourceCells::Column its_column) noexcept
            : cells{its_cells}, column{its_column} {}
        Counts(const Counts&) = delete;
        Counts& operator=(const Counts&) = delete;
        ~Counts() {
            if (row != SourceCells::no_row) cells.leave(column, row);
            if (is_in_total) cells.leave_listener(column);
        }

        const SourceCells& cells;
        SourceCells::Column column;
        std::uint32_t row = SourceCells::no_row;
        bool is_in_total = false;
    };

    Counts& counts(const SourceCells& cells, SourceCells::Column column) {
        if (!counts_) counts_ = std::make_unique<Counts>(cells, column);
        return *counts_;
    }

    std::unique_ptr<Counts> counts_{};
};

}  // namespace preforkd
