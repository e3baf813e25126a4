#pragma once
// A line of --help: what is written, and what it means.  Pure.
#include <cstddef>
#include <string>
#include <string_view>

namespace preforkd {

struct HelpColumns {
    std::size_t text;   ///< where the meaning begins
    std::size_t width;  ///< of a line
};

/// Appends `left` and, from its column on, `text`, broken between words.  A `left` that reaches into that column stands
/// in a line of its own.
void append_help_entry(std::string& help, const std::string& left, std::string_view text, HelpColumns columns);

}  // namespace preforkd
