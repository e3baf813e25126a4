#pragma once
// Standard output.
#include <cstddef>
#include <string>

namespace preforkd {

/// Throws std::system_error where it cannot all be written.
void print(const std::string& text);

/// What somebody else has said, with nothing that a terminal obeys.  `json`: it has to stay JSON.
[[nodiscard]] std::string harmless(const std::string& text, bool json = false);

/// Of the terminal; 0 where it is none, and nothing has to be cut.
[[nodiscard]] std::size_t terminal_columns();

}  // namespace preforkd
