#include "common/log/log_escape.hpp"

#include <cstdint>

#include "common/base/utf8.hpp"

namespace preforkd {
namespace {

constexpr std::array<char, 16> hex_digits{'0', '1', '2', '3', '4', '5', '6', '7',
                                          '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};

enum : std::uint8_t { Plain = 1, Name = 2 };

/// A look-up a byte: every line passes through here, each byte of it.
constexpr std::array<std::uint8_t, 256> classes = [] {
    std::array<std::uint8_t, 256> all{};
    for (std::size_t c = 0x20; c <= 0x7e; ++c)
        if (c != '\\' && c != '"') all[c] |= Plain;
    for (std::size_t c = '0'; c <= 'z'; ++c)
        if (c <= '9' || (c >= 'A' && c <= 'Z') || c == '_' || c >= 'a') all[c] |= Name;
    return all;
}();

constexpr bool is(std::uint8_t kind, char c) noexcept { return (classes[static_cast<unsigned char>(c)] & kind) != 0; }

/// What every style takes as it is.
constexpr bool plain(char c) noexcept { return is(Plain, c); }

/// Every byte as `\x1b`, in one piece.
void append_bytes(LogLine& line, std::string_view bytes) noexcept {
    std::array<char, 16> text;
    std::size_t size = 0;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        for (const char each : {'\\', 'x', hex_digits[byte >> 4], hex_digits[byte & 0xf]}) text[size++] = each;
    }
    line.append_whole({text.data(), size});
}

/// A character of the first plane as `\u001b`.
void append_json_escape(LogLine& line, char32_t code_point) noexcept {
    const std::array<char, 6> text{'\\',
                                   'u',
                                   hex_digits[code_point >> 12 & 0xf],
                                   hex_digits[code_point >> 8 & 0xf],
                                   hex_digits[code_point >> 4 & 0xf],
                                   hex_digits[code_point & 0xf]};
    line.append_whole({text.data(), text.size()});
}

/// Appends the character at the start of `text`, which is not plain, and returns how many bytes it took.
std::size_t append_character(LogLine& line, std::string_view text, LogEscape style) noexcept {
    const bool json = style == LogEscape::Json;
    switch (text.front()) {
        case '"': line.append_whole(json || style == LogEscape::Quoted ? "\\\"" : "\""); return 1;
        case '\\': line.append_whole(style == LogEscape::Sentence ? "\\" : "\\\\"); return 1;
        case '\n': line.append_whole(style == LogEscape::JournalValue ? "\n" : "\\n"); return 1;
        case '\t': line.append_whole(style == LogEscape::JournalValue ? "\t" : "\\t"); return 1;
        case '\r': line.append_whole("\\r"); return 1;
        default: break;  // a byte, not an event: the rest is decided by its character
    }
    const Utf8Character character = decode_utf8(text);
    const std::string_view bytes = text.substr(0, character.size_bytes == 0 ? 1 : character.size_bytes);
    if (character.size_bytes == 0 && json) {
        line.append_whole("\\ufffd");
    } else if (character.size_bytes == 0 || (obeyed_by_terminals(character.code_point) && !json)) {
        append_bytes(line, bytes);
    } else if (obeyed_by_terminals(character.code_point)) {
        append_json_escape(line, character.code_point);
    } else {
        line.append_whole(bytes);
    }
    return bytes.size();
}

}  // namespace

void append_escaped(LogLine& line, std::string_view text, LogEscape style) noexcept {
    while (!text.empty() && !line.cut()) {
        const auto* const end = std::find_if_not(text.begin(), text.end(), plain);
        const auto plain_bytes = static_cast<std::size_t>(end - text.begin());
        line.append(text.substr(0, plain_bytes));
        text.remove_prefix(plain_bytes);
        if (!text.empty()) text.remove_prefix(append_character(line, text, style));
    }
}

void append_log_name(LogLine& line, std::string_view name) noexcept {
    while (!name.empty()) {
        const auto* const end = std::find_if_not(name.begin(), name.end(), [](char c) { return is(Name, c); });
        const auto allowed_bytes = static_cast<std::size_t>(end - name.begin());
        line.append(name.substr(0, allowed_bytes));
        if (end == name.end()) return;
        line.append("_");
        name.remove_prefix(allowed_bytes + 1);
    }
}

bool plain_word(std::string_view text) noexcept {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return plain(c) && c != ' ' && c != '='; });
}

}  // namespace preforkd
