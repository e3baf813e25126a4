#pragma once
#include <algorithm>
#include <string_view>

namespace preforkd {

/// What `text` has before the first `separator`, or all of it.  Both are removed there.
[[nodiscard]] constexpr std::string_view take_until(std::string_view& text, char separator) noexcept {
    const std::string_view part = text.substr(0, text.find(separator));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    return part;
}

}  // namespace preforkd
