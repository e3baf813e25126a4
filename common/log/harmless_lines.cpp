#include "common/log/harmless_lines.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "common/base/utf8.hpp"

namespace preforkd {

namespace {

constexpr bool is_plain(char c) noexcept { return (c >= 0x20 && c <= 0x7e) || c == '\n' || c == '\t'; }

constexpr std::uint64_t each_byte(std::uint64_t byte) noexcept { return byte * 0x0101010101010101; }

/// Not zero if one of the eight bytes is no printable ASCII.  Source: Bit Twiddling Hacks, "Determine if a word has a
/// byte less than n"; a borrow can only make it ask for a closer look in vain.
constexpr std::uint64_t not_printable(std::uint64_t word) noexcept {
    const std::uint64_t below_space = word - each_byte(0x20);
    const std::uint64_t above_tilde = word + each_byte(0x01);
    return (below_space | above_tilde | word) & each_byte(0x80);
}

static_assert(not_printable(0x7e207e207e207e20) == 0);
static_assert(not_printable(0x7e207e207e207e1b) != 0);
static_assert(not_printable(0x7f207e207e207e20) != 0);
static_assert(not_printable(0x20202020202080ff) != 0);

void append_bytes(std::string& to, std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        to.append({'\\', 'x', digits[byte >> 4], digits[byte & 0xf]});
    }
}

}  // namespace

std::size_t plainly_harmless_bytes(std::string_view lines) noexcept {
    std::size_t at = 0;
    const auto is_harmless = [&](std::size_t end) {
        return std::all_of(lines.begin() + static_cast<std::ptrdiff_t>(at),
                           lines.begin() + static_cast<std::ptrdiff_t>(end), is_plain);
    };
    std::uint64_t word = 0;
    for (; at + sizeof word <= lines.size(); at += sizeof word) {
        std::memcpy(&word, lines.data() + at, sizeof word);
        if (not_printable(word) != 0 && !is_harmless(at + sizeof word)) break;
    }
    while (at < lines.size() && is_plain(lines[at])) ++at;
    return at;
}

void append_harmless(std::string& to, std::string_view lines) {
    while (!lines.empty()) {
        const std::size_t plain_bytes = plainly_harmless_bytes(lines);
        to += lines.substr(0, plain_bytes);
        lines.remove_prefix(plain_bytes);
        if (lines.empty()) return;
        const Utf8Character character = decode_utf8(lines);
        const std::string_view bytes = lines.substr(0, std::max<std::size_t>(character.size_bytes, 1));
        if (character.size_bytes == 0 || obeyed_by_terminals(character.code_point))
            append_bytes(to, bytes);
        else
            to += bytes;
        lines.remove_prefix(bytes.size());
    }
}

}  // namespace preforkd
