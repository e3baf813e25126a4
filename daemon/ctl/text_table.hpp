#pragma once
// Columns for people: as wide as their widest cell, numbers to the right.  Pure.
#include <cstddef>
#include <string>
#include <vector>

namespace preforkd {

inline constexpr bool right = true;  ///< of a TextTable::Column

class TextTable {
public:
    struct Column {
        std::string title{};
        bool to_the_right = false;
    };
    explicit TextTable(std::vector<Column> columns) : columns_{std::move(columns)} {}

    void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

    /// One line for the titles and each row; no blanks at their ends.  0: not cut.
    [[nodiscard]] std::string text(std::size_t width) const;

private:
    std::vector<Column> columns_;
    std::vector<std::vector<std::string>> rows_{};
};

/// Leaves so many columns of UTF-8 text, for what takes one each.
void cut_to_width(std::string& line, std::size_t width);

}  // namespace preforkd
