#pragma once
// The words of a line.  Pure.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace preforkd {

inline constexpr std::string_view word_blanks = " \t\r\v\f";

/// `line` without the blanks around it.
[[nodiscard]] constexpr std::string_view without_blanks(std::string_view line) noexcept {
    line.remove_prefix(std::min(line.find_first_not_of(word_blanks), line.size()));
    return line.substr(0, line.find_last_not_of(word_blanks) + 1);
}

[[nodiscard]] inline std::vector<std::string> words_of_line(std::string_view line) {
    std::vector<std::string> words;
    for (line = without_blanks(line); !line.empty();) {
        const std::string_view word = line.substr(0, line.find_first_of(word_blanks));
        words.emplace_back(word);
        line.remove_prefix(word.size());
        line.remove_prefix(std::min(line.find_first_not_of(word_blanks), line.size()));
    }
    return words;
}

}  // namespace preforkd
