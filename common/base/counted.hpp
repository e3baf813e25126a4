#pragma once
// A number and what it counts, in English.
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace preforkd {

/// `1 worker`, `2 workers`.
[[nodiscard]] inline std::string counted(std::uint64_t count, std::string_view noun) {
    return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace preforkd
