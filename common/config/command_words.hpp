#pragma once
// A command in one line: its words as text and back, and that text where no blank may stand.  Pure.
#include <string>
#include <string_view>
#include <vector>

namespace preforkd {

/// The words of `text`: blanks separate them, but not within "double" or 'single' quotes, and `\` is read as in C, with
/// `\s` for a blank.  Nothing else has a meaning: no shell reads it, and no variable is put in.  At least one, and the
/// first is not empty.  Throws std::invalid_argument.
/// Source: systemd.syntax(7), QUOTING; systemd.service(5), COMMAND LINES
[[nodiscard]] std::vector<std::string> split_command(std::string_view text);

/// What split_command() reads back; "" for no words.
[[nodiscard]] std::string join_command(const std::vector<std::string>& words);

/// `%XX` for each byte that a key's value behind an endpoint cannot hold.  Source: RFC 3986, 2.1
[[nodiscard]] std::string percent_encoded(std::string_view plain);

/// Throws std::invalid_argument for a % that two hexadecimal digits do not follow.
[[nodiscard]] std::string percent_decoded(std::string_view text);

}  // namespace preforkd
