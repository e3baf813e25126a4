#include "daemon/ctl/text_table.hpp"

#include <algorithm>

namespace preforkd {
namespace {

/// Columns that UTF-8 text takes, for what takes one each.
std::size_t width_of(const std::string& text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

std::string TextTable::text(std::size_t width) const {
    std::vector<std::size_t> widths;
    for (std::size_t column = 0; column < columns_.size(); ++column) {
        std::size_t widest = width_of(columns_[column].title);
        for (const auto& row : rows_) widest = std::max(widest, width_of(row.at(column)));
        widths.push_back(widest);
    }
    std::string all;
    const auto append_line = [&](const auto& cell_of) {
        std::string line;
        for (std::size_t column = 0; column < columns_.size(); ++column) {
            const std::string& cell = cell_of(column);
            const std::string padding(widths[column] - width_of(cell), ' ');
            line += column == 0 ? "" : "  ";
            line += columns_[column].to_the_right ? padding + cell : cell + padding;
        }
        line.resize(line.find_last_not_of(' ') + 1);
        if (width != 0) cut_to_width(line, width);
        all += line + '\n';
    };
    append_line([&](std::size_t column) -> const std::string& { return columns_[column].title; });
    for (const auto& row : rows_) append_line([&](std::size_t column) -> const std::string& { return row[column]; });
    return all;
}

void cut_to_width(std::string& line, std::size_t width) {
    std::size_t columns = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if ((static_cast<unsigned char>(line[i]) & 0xC0U) == 0x80U) continue;
        if (columns++ == width) return line.resize(i);
    }
}

}  // namespace preforkd
