#pragma once
// For which connections there are lines in the log.  Pure.
#include <string>
#include <string_view>

namespace preforkd {

/// Of which events in the life of a connection there is a line.  A datagram has its beginning only.
enum class LogConnections { No, Begin, End, Both };

[[nodiscard]] constexpr bool logs_begin(LogConnections wanted) noexcept {
    return wanted == LogConnections::Begin || wanted == LogConnections::Both;
}
[[nodiscard]] constexpr bool logs_end(LogConnections wanted) noexcept {
    return wanted == LogConnections::End || wanted == LogConnections::Both;
}

/// `begin`, `end`, `both` or `no`; and `yes` in all its spellings, which is what there was before there was an end to
/// print.  Throws as the readers of option_values.hpp.
[[nodiscard]] LogConnections read_log_connections(std::string_view text);
[[nodiscard]] std::string print_log_connections(LogConnections value);

}  // namespace preforkd
