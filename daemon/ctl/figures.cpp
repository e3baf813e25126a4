#include "daemon/ctl/figures.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <array>
#include <cstddef>
#include <vector>

namespace preforkd {
namespace {

using namespace std::chrono_literals;

std::string with_unit(std::chrono::nanoseconds time, const char* before_unit) {
    const auto ns = static_cast<double>(time.count());
    if (time < 1ms) return fmt::format("{}{}us", ns / 1e3, before_unit);
    if (time < 1s) return fmt::format("{}{}ms", ns / 1e6, before_unit);
    return fmt::format("{}{}s", ns / 1e9, before_unit);
}

}  // namespace

std::string age_text(std::chrono::milliseconds age) {
    struct Unit {
        std::int64_t seconds;
        char letter;
    };
    constexpr std::array<Unit, 4> units{{{86'400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}}};
    const std::int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(age).count();
    for (std::size_t i = 0; i + 1 < units.size(); ++i) {
        const auto& [large, letter] = units[i];
        if (seconds < large) continue;
        const auto& next = units[i + 1];
        return fmt::format("{}{} {}{}", seconds / large, letter, seconds % large / next.seconds, next.letter);
    }
    return fmt::format("{}s", seconds);
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }
std::string or_dash(const std::optional<std::uint64_t>& number) { return number ? std::to_string(*number) : "-"; }
std::string size_or_dash(const std::optional<std::uint64_t>& bytes) { return bytes ? size_text(*bytes) : "-"; }

std::string queue_text(const std::optional<std::uint64_t>& amount, bool in_bytes) {
    return in_bytes ? size_or_dash(amount) : or_dash(amount);
}

std::string size_text(std::uint64_t bytes) {
    constexpr std::array<const char*, 5> units{"", "K", "M", "G", "T"};
    std::size_t unit = 0;
    auto scaled = static_cast<double>(bytes);
    for (; scaled >= 1024 && unit + 1 < units.size(); ++unit) scaled /= 1024;
    return unit == 0 ? std::to_string(bytes) : fmt::format("{:.1f}{}", scaled, units[unit]);
}

std::string named_text(std::span<const char* const> names, std::span<const std::uint64_t> counts) {
    std::vector<std::string> parts;
    for (std::size_t index = 0; index < names.size(); ++index)
        if (counts[index] != 0) parts.push_back(fmt::format("{} {}", counts[index], names[index]));
    return fmt::format("{}", fmt::join(parts, ", "));
}

std::string rate_text(double per_second) {
    if (per_second >= 9999.5) return fmt::format("{:.1f}k", per_second / 1000);
    if (per_second >= 99.95) return fmt::format("{:.0f}", per_second);
    return per_second < 0.05 ? "0" : fmt::format("{:.1f}", per_second);
}

std::string bound_text(std::chrono::nanoseconds bound) {
    if (bound > histogram_bounds.back()) return "more than " + with_unit(histogram_bounds.back(), " ");
    return with_unit(bound, " ");
}

std::string bound_cell(const HistogramCounts& histogram, double share) {
    const std::chrono::nanoseconds bound = bound_of(histogram, share);
    if (bound == 0ns) return "-";
    if (bound > histogram_bounds.back()) return ">" + with_unit(histogram_bounds.back(), "");
    return "<" + with_unit(bound, "");
}

}  // namespace preforkd
