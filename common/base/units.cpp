#include "common/base/units.hpp"

#include <array>
#include <limits>

#include "common/base/parse_number.hpp"

namespace preforkd {
namespace {

using std::chrono::milliseconds;

struct DurationUnit {
    std::string_view name;
    milliseconds length;
};

// Longest first: to_string() takes what fits in this order.  `min` is only read.
constexpr std::array<DurationUnit, 6> duration_units{{
    {"d", std::chrono::days{1}},
    {"h", std::chrono::hours{1}},
    {"m", std::chrono::minutes{1}},
    {"min", std::chrono::minutes{1}},
    {"s", std::chrono::seconds{1}},
    {"ms", milliseconds{1}},
}};
constexpr milliseconds longest_duration = std::chrono::days{365};

std::string_view take_letters(std::string_view& text) {
    const std::string_view letters = text.substr(0, text.find_first_of("0123456789"));
    text.remove_prefix(letters.size());
    return letters;
}

/// number × unit, if that stays within longest_duration.
std::optional<milliseconds> times(std::uint64_t number, milliseconds unit) {
    if (number > static_cast<std::uint64_t>(longest_duration / unit)) return std::nullopt;
    return static_cast<milliseconds::rep>(number) * unit;
}

}  // namespace

std::optional<milliseconds> parse_duration(std::string_view text) {
    milliseconds sum{0};
    bool alone = true;
    do {
        const auto number = take_number<std::uint64_t>(text);
        if (!number) return std::nullopt;
        const std::string_view name = take_letters(text);
        if (name.empty() && !alone) return std::nullopt;  // `1m30`: seconds or minutes?

        std::optional<milliseconds> part;
        if (name.empty()) part = times(*number, std::chrono::seconds{1});
        for (const auto& unit : duration_units)
            if (unit.name == name) part = times(*number, unit.length);
        if (!part) return std::nullopt;
        sum += *part;
        if (sum > longest_duration) return std::nullopt;
        alone = false;
    } while (!text.empty());
    return sum;
}

std::string to_string(milliseconds duration) {
    if (duration <= milliseconds{0}) return "0";
    std::string text;
    for (const auto& unit : duration_units) {
        if (duration < unit.length) continue;
        text += std::to_string(duration / unit.length);
        text += unit.name;
        duration %= unit.length;
    }
    return text;
}

std::optional<std::uint64_t> parse_size_bytes(std::string_view text) {
    const auto number = take_number<std::uint64_t>(text);
    if (!number) return std::nullopt;
    int shift = 0;
    if (text.starts_with('K')) shift = 10;
    if (text.starts_with('M')) shift = 20;
    if (text.starts_with('G')) shift = 30;
    if (shift != 0) text.remove_prefix(1);
    if (!text.empty() && text != "B" && !(shift != 0 && text == "iB")) return std::nullopt;
    if (*number > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
    return *number << shift;
}

std::string print_size_bytes(std::uint64_t bytes) {
    std::string_view unit = "";
    for (const std::string_view larger : {"K", "M", "G"}) {
        if (bytes == 0 || bytes % 1024 != 0) break;
        bytes /= 1024;
        unit = larger;
    }
    return std::to_string(bytes) + std::string{unit};
}

}  // namespace preforkd
