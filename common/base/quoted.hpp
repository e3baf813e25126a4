#pragma once
// Text that somebody else wrote, made fit for a sentence: one line, printable, bounded.  Pure.
#include <string>
#include <string_view>

namespace preforkd {

/// `text` in double quotes, for an error: escaped, and cut behind 200 bytes with a note of its size in bytes.
///
/// Escaped are quotes, backslashes, control characters (C1 and the bidirectional ones, too, which a terminal obeys)
/// and bytes that are no UTF-8, as `\n`, `\t`, `\r`, `\"`, `\\` and `\xHH`.
[[nodiscard]] std::string in_quotes(std::string_view text);

/// The same without the cut: what a quoted value in a configuration file is read back from, byte by byte.
[[nodiscard]] std::string in_quotes_uncut(std::string_view text);

/// `text` as it is where that is printable and short, otherwise escaped and cut: for names of files in front of a
/// colon.
[[nodiscard]] std::string printable(std::string_view text);

/// The same without the cut: for a sentence, whose remedy stands at its end.
[[nodiscard]] std::string printable_uncut(std::string_view text);

/// `text` of any number of lines, as it is but for what `in_quotes` escapes beside quotes and backslashes.
[[nodiscard]] std::string printable_lines(std::string_view text);

/// JSON, where only strings can hold non-ASCII text, with each character that a terminal obeys as `\uXXXX`.
[[nodiscard]] std::string printable_json(std::string_view json);

/// Whether `text` is one printable line as it is: nothing in it needs an escape (quotes and backslashes do not).
[[nodiscard]] bool is_printable(std::string_view text) noexcept;

}  // namespace preforkd
