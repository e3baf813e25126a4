#include "common/base/quoted.hpp"

#include <fmt/core.h>

#include <cstddef>
#include <cstdint>
#include <limits>

namespace preforkd {
namespace {

constexpr std::size_t longest_quote = 80;
constexpr std::size_t longest_name = 200;
constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

bool obeyed_by_terminals(std::uint32_t code) noexcept {
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

/// Bytes of the printable character that `text` begins with; 0 if there is none.  Source: RFC 3629, section 4.
std::size_t printable_prefix(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const std::uint32_t first = byte(0);
    const std::size_t size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (size == 0 || size > text.size() || first > 0xf4) return 0;
    if (size == 1) return obeyed_by_terminals(first) ? 0 : 1;

    std::uint32_t code = first & (0x7fu >> size);
    for (std::size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return 0;
        code = (code << 6) | (byte(i) & 0x3f);
    }
    const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
    const bool no_character = (code >= 0xd800 && code < 0xe000) || code > 0x10ffff;
    return overlong || no_character || obeyed_by_terminals(code) ? 0 : size;
}

std::string escape(char c) {
    switch (c) {
        case '\n': return "\\n";
        case '\t': return "\\t";
        case '\r': return "\\r";
        case '"': return "\\\"";
        case '\\': return "\\\\";
        default: return fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
}

struct Escaped {
    std::string text{};
    bool cut = false;
};

Escaped escape_all(std::string_view text, std::size_t longest) {
    Escaped result;
    while (!text.empty()) {
        std::size_t size = printable_prefix(text);
        const bool plain = size != 0 && text[0] != '"' && text[0] != '\\';
        const std::string piece = plain ? std::string{text.substr(0, size)} : escape(text[0]);
        if (size == 0) size = 1;
        if (result.text.size() + piece.size() > longest) {
            result.cut = true;
            break;
        }
        result.text += piece;
        text.remove_prefix(size);
    }
    return result;
}

}  // namespace

std::string in_quotes(std::string_view text) {
    const Escaped escaped = escape_all(text, longest_quote);
    if (!escaped.cut) return '"' + escaped.text + '"';
    return fmt::format("\"{}...\" ({} bytes)", escaped.text, text.size());
}

std::string in_quotes_uncut(std::string_view text) { return '"' + escape_all(text, unlimited).text + '"'; }

std::string printable(std::string_view text) {
    if (text.size() <= longest_name && is_printable(text)) return std::string{text};
    const Escaped escaped = escape_all(text, longest_name);
    return escaped.cut ? escaped.text + "..." : escaped.text;
}

bool is_printable(std::string_view text) noexcept {
    while (!text.empty()) {
        const std::size_t size = printable_prefix(text);
        if (size == 0) return false;
        text.remove_prefix(size);
    }
    return true;
}

}  // namespace preforkd
