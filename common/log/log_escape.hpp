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

/// Appends `text` without invalid UTF-8 and without what a terminal obeys (obeyed_by_terminals()), with which a client
/// could make a line look like another.
void append_escaped(LogLine& line, std::string_view text, LogEscape style) noexcept;

/// Appends the name of a field; whatever is no letter, digit or underscore becomes an underscore.
void append_log_name(LogLine& line, std::string_view name) noexcept;

/// Whether `text` can stand in a line as it is, without quotes.
[[nodiscard]] bool plain_word(std::string_view text) noexcept;

}  // namespace preforkd
