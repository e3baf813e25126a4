#pragma once
// Characters of a text that anybody may have written.  Pure.
#include <cstddef>
#include <string_view>

namespace preforkd {

struct Utf8Character {
    char32_t code_point = 0;
    std::size_t size_bytes = 0;  ///< 0: no character of UTF-8 starts here
};

/// The character at the start of `text`, which is not empty.  Overlong forms and surrogates are none.
/// Source: RFC 3629, section 4.
[[nodiscard]] constexpr Utf8Character decode_utf8(std::string_view text) noexcept {
    const auto byte = [text](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const unsigned first = byte(0);
    const std::size_t size = first < 0x80   ? 1
                             : first < 0xc2 ? 0
                             : first < 0xe0 ? 2
                             : first < 0xf0 ? 3
                             : first < 0xf5 ? 4
                                            : 0;
    if (size == 0 || size > text.size()) return {};
    if (size == 1) return {.code_point = first, .size_bytes = 1};

    char32_t code_point = first & (0x7fU >> size);
    for (std::size_t at = 1; at < size; ++at) {
        if ((byte(at) & 0xc0U) != 0x80U) return {};
        code_point = code_point << 6 | (byte(at) & 0x3fU);
    }
    const bool overlong = (size == 3 && code_point < 0x800) || (size == 4 && code_point < 0x10000);
    const bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
    if (overlong || surrogate || code_point > 0x10ffff) return {};
    return {.code_point = code_point, .size_bytes = size};
}

/// Whether a terminal obeys `code_point` instead of showing it, or shows nothing, so that a line could look like
/// another: C0, DEL, C1 (U+0080..U+009F), what separates lines (U+2028, U+2029) or turns the direction of what follows
/// (U+200E, U+200F, U+202A..U+202E, U+2066..U+2069), and the byte order mark (U+FEFF).
[[nodiscard]] constexpr bool obeyed_by_terminals(char32_t code_point) noexcept {
    return code_point < 0x20 || (code_point >= 0x7f && code_point <= 0x9f) || code_point == 0x200e ||
           code_point == 0x200f || (code_point >= 0x2028 && code_point <= 0x202e) ||
           (code_point >= 0x2066 && code_point <= 0x2069) || code_point == 0xfeff;
}

}  // namespace preforkd
