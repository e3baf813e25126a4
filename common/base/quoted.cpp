#include "common/base/quoted.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "common/base/utf8.hpp"

namespace preforkd {
namespace {

constexpr std::size_t longest = 200;  // of the path of a file nothing may be missing
constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

/// Bytes of the printable character that `text` begins with; 0 if there is none.
std::size_t printable_prefix(std::string_view text) noexcept {
    const Utf8Character character = decode_utf8(text);
    return obeyed_by_terminals(character.code_point) ? 0 : character.size_bytes;
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

Escaped escape_all(std::string_view text, std::size_t limit) {
    Escaped result;
    while (!text.empty()) {
        std::size_t size = printable_prefix(text);
        const bool plain = size != 0 && text[0] != '"' && text[0] != '\\';
        const std::string piece = plain ? std::string{text.substr(0, size)} : escape(text[0]);
        if (size == 0) size = 1;
        if (result.text.size() + piece.size() > limit) {
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
    const Escaped escaped = escape_all(text, longest);
    if (!escaped.cut) return '"' + escaped.text + '"';
    return fmt::format("\"{}...\" ({} bytes)", escaped.text, text.size());
}

std::string in_quotes_uncut(std::string_view text) { return '"' + escape_all(text, unlimited).text + '"'; }

std::string printable(std::string_view text) {
    if (text.size() <= longest && is_printable(text)) return std::string{text};
    const Escaped escaped = escape_all(text, longest);
    return escaped.cut ? escaped.text + "..." : escaped.text;
}

std::string printable_uncut(std::string_view text) {
    return is_printable(text) ? std::string{text} : escape_all(text, unlimited).text;
}

std::string printable_lines(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        const std::size_t size = text[0] == '\n' ? 1 : printable_prefix(text);
        result += size != 0 ? std::string{text.substr(0, size)} : escape(text[0]);
        text.remove_prefix(size != 0 ? size : 1);
    }
    return result;
}

std::string printable_json(std::string_view json) {
    std::string result;
    while (!json.empty()) {
        std::size_t size = json[0] == '\n' ? 1 : printable_prefix(json);
        if (size != 0) {
            result += json.substr(0, size);
        } else {
            constexpr std::uint32_t replacement = 0xfffd;  // for a byte that begins no character
            const Utf8Character character = decode_utf8(json);
            size = std::max<std::size_t>(character.size_bytes, 1);
            const std::uint32_t code = character.size_bytes != 0 ? character.code_point : replacement;
            result += fmt::format("\\u{:04x}", code);
        }
        json.remove_prefix(size);
    }
    return result;
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
