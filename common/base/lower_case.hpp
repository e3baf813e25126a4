#pragma once
// Letters of ASCII, whatever the locale is: names of options and of hosts.  Pure.
#include <algorithm>
#include <string>

namespace preforkd {

[[nodiscard]] constexpr char lower_case(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

[[nodiscard]] inline std::string lower_case(std::string text) {
    std::ranges::transform(text, text.begin(), [](char c) { return lower_case(c); });
    return text;
}

}  // namespace preforkd
