#pragma once
// Whole numbers as text.  Pure.
#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>
#include <system_error>

namespace preforkd {

/// Takes the number that `text` begins with.  nullopt, and nothing is taken, where it begins with none or with one that
/// T cannot hold; neither blanks nor a plus stand before a number, and a minus only where T is signed.
template <std::integral T>
[[nodiscard]] std::optional<T> take_number(std::string_view& text, int base = 10) noexcept {
    T number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    if (error != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

/// The number that all of `text` is.
template <std::integral T>
[[nodiscard]] std::optional<T> parse_number(std::string_view text, int base = 10) noexcept {
    const auto number = take_number<T>(text, base);
    return text.empty() ? number : std::nullopt;
}

}  // namespace preforkd
