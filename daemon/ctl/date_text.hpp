#pragma once
#include <fmt/core.h>

#include <chrono>
#include <string>

namespace preforkd {

/// `2027-01-31`, in UTC.
[[nodiscard]] inline std::string date_text(std::chrono::system_clock::time_point time) {
    const std::chrono::year_month_day date{std::chrono::floor<std::chrono::days>(time)};
    return fmt::format("{}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                       static_cast<unsigned>(date.day()));
}

}  // namespace preforkd
