#pragma once
// Lines that somebody else has formed, made harmless for a terminal.  Pure.
#include <cstddef>
#include <string>
#include <string_view>

namespace preforkd {

/// How many bytes at the beginning of `lines` need no closer look: printable ASCII, newlines and tabs.  Cheap: all
/// lines of workers pass through here.
[[nodiscard]] std::size_t plainly_harmless_bytes(std::string_view lines) noexcept;

/// Appends `lines`, in which newlines and tabs stay; other control characters, what else a terminal obeys
/// (obeyed_by_terminals()), and what is no UTF-8 become `\x1b` for each byte, as in the daemon's own lines.
void append_harmless(std::string& to, std::string_view lines);

}  // namespace preforkd
