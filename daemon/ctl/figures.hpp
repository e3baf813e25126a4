#pragma once
// Numbers as people read them.  Pure.
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "common/channel/histogram.hpp"

namespace preforkd {

/// The two largest units: `3d 4h`, `12m 5s`, `0s`.
[[nodiscard]] std::string age_text(std::chrono::milliseconds age);

/// Bytes: `512`, `1.5M`.
[[nodiscard]] std::string size_text(std::uint64_t bytes);

/// What is not known is `-`.
[[nodiscard]] std::string or_dash(const std::string& text);
[[nodiscard]] std::string or_dash(const std::optional<std::uint64_t>& number);
[[nodiscard]] std::string size_or_dash(const std::optional<std::uint64_t>& bytes);

/// Of a queue of connections, or of bytes.
[[nodiscard]] std::string queue_text(const std::optional<std::uint64_t>& amount, bool in_bytes);

/// `3 error, 1 cut`: what is not zero; of nothing, nothing.
[[nodiscard]] std::string named_text(std::span<const char* const> names, std::span<const std::uint64_t> counts);

/// Of something a second: `0`, `0.3`, `12.5`, `1234`, `12.3k`.
[[nodiscard]] std::string rate_text(double per_second);

/// A bound of a histogram: `2.5 ms`; of the longest duration there is `more than 60 s`.
[[nodiscard]] std::string bound_text(std::chrono::nanoseconds bound);

/// The same for a table, of the fastest `share`, 0 to 1: `<2.5ms`, `>60s`; of no durations `-`.
[[nodiscard]] std::string bound_cell(const HistogramCounts& histogram, double share);

}  // namespace preforkd
