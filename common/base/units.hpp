#pragma once
// Durations and sizes as people write them.  Pure.
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace preforkd {

/// Reads `500ms`, `30s`, `5m` (or `min`), `2h`, `1d`, a sum such as `1m30s`, or a plain number of seconds.
/// nullopt for anything else: negative, empty, an unknown unit, more than 365 days.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// The shortest text that parse_duration() reads back: `1m30s`, `500ms`, `0`.
[[nodiscard]] std::string to_string(std::chrono::milliseconds duration);

/// Reads `4096`, `64K`, `64M`, `2G` (binary, an optional trailing `B` or `iB`).  nullopt for anything else or overflow.
[[nodiscard]] std::optional<std::uint64_t> parse_size_bytes(std::string_view text);

/// The shortest text that parse_size_bytes() reads back: `2G`, `1536M`, `4097`.
[[nodiscard]] std::string print_size_bytes(std::uint64_t bytes);

}  // namespace preforkd
