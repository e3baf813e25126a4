#pragma once
// Text from anywhere, made harmless for a line, a terminal and a JSON reader.  Pure.
#include <string_view>

#include "common/log/log_line.hpp"

namespace preforkd {

enum class LogEscape {
    Sentence,      ///< `\n` `\r` `\t`, other bytes as `\x1b`; a backslash stays: sentences quote what is not theirs
    Quoted,        ///< the same, and `\"` `\\`
    JournalValue,  ///< `\r` `\\` and bytes; newlines and tabs stay: the journal keeps them inside the value
    Json,          ///< RFC 8259; an invalid byte becomes \ufffd
};

/// Appends `text` without a control character: none of C0, DEL, C1 (U+0080..U+009F), no invalid UTF-8, and none of the
/// characters that separate lines (U+2028, U+2029) or turn the direction of what follows (U+202A..U+202E,
/// U+2066..U+2069), with which a client could make a line look like another.
void append_escaped(LogLine& line, std::string_view text, LogEscape style) noexcept;

/// Appends the name of a field; whatever is no letter, digit or underscore becomes an underscore.
void append_log_name(LogLine& line, std::string_view name) noexcept;

/// Whether `text` can stand in a line as it is, without quotes.
[[nodiscard]] bool plain_word(std::string_view text) noexcept;

}  // namespace preforkd
