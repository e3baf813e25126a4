#pragma once
// What a client takes of the limits of its listener.
#include <cstdint>
#include <utility>

#include "common/channel/source_cells.hpp"

namespace preforkd {

/// Given back when it is destroyed, in the thread that accepts: one writer has each column.  Empty where nothing is
/// counted.
class CountedPlace {
public:
    CountedPlace() noexcept = default;
    /// Of a listener with max=; `cells` outlives it.
    CountedPlace(const SourceCells& cells, SourceCells::Column column) noexcept
        : cells_{&cells}, column_{column}, is_in_total_{true} {}
    CountedPlace(CountedPlace&& other) noexcept
        : cells_{std::exchange(other.cells_, nullptr)},
          column_{other.column_},
          row_{other.row_},
          is_in_total_{other.is_in_total_} {}
    CountedPlace& operator=(CountedPlace&& other) noexcept {
        if (this == &other) return *this;
        give_back();
        cells_ = std::exchange(other.cells_, nullptr);
        column_ = other.column_;
        row_ = other.row_;
        is_in_total_ = other.is_in_total_;
        return *this;
    }
    ~CountedPlace() { give_back(); }

    /// Beside the listener's total its source has counted it, in `row`.
    void add_row(const SourceCells& cells, SourceCells::Column column, std::uint32_t row) noexcept {
        cells_ = &cells;
        column_ = column;
        row_ = row;
    }

    void give_back() noexcept {
        if (cells_ == nullptr) return;
        if (row_ != SourceCells::no_row) cells_->leave(column_, row_);
        if (is_in_total_) cells_->leave_listener(column_);
        cells_ = nullptr;
        row_ = SourceCells::no_row;
        is_in_total_ = false;
    }

private:
    const SourceCells* cells_ = nullptr;
    SourceCells::Column column_ = 0;
    std::uint32_t row_ = SourceCells::no_row;
    bool is_in_total_ = false;
};

}  // namespace preforkd
