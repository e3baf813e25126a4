#include "common/config/command_words.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "common/base/parse_number.hpp"
#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

constexpr std::string_view word_breaks = " \t\r\n\v\f";

class CommandReader {
public:
    explicit CommandReader(std::string_view text) : all_{text}, rest_{text} {}

    std::vector<std::string> read() {
        while (skip_blanks()) words_.push_back(read_word());
        if (words_.empty() || words_.front().empty()) refuse("a program and its arguments");
        return std::move(words_);
    }

private:
    [[noreturn]] void refuse(std::string_view expected) const { refuse_value(expected, all_); }

    /// Whether something is left.
    bool skip_blanks() {
        rest_.remove_prefix(std::min(rest_.find_first_not_of(word_breaks), rest_.size()));
        return !rest_.empty();
    }

    char take() {
        const char c = rest_.front();
        rest_.remove_prefix(1);
        return c;
    }

    std::string read_word() {
        std::string word;
        for (std::optional<char> quote; !rest_.empty();) {
            const char c = take();
            if (c == '\\')
                read_escape(word);
            else if (quote == c)
                quote.reset();
            else if (!quote && (c == '"' || c == '\''))
                quote = c;
            else if (!quote && word_breaks.find(c) != word_breaks.npos)
                return word;
            else
                word += c;
            if (quote && rest_.empty()) refuse(fmt::format("a closing {} at the end", *quote));
        }
        return word;
    }

    void read_escape(std::string& word) {
        constexpr std::string_view letters = "abfnrtvs\\\"' ";
        constexpr std::string_view meanings = "\a\b\f\n\r\t\v \\\"' ";
        if (!rest_.empty() && letters.find(rest_[0]) != letters.npos) {
            word += meanings[letters.find(take())];
            return;
        }
        const bool is_hexadecimal = rest_.starts_with('x');
        const std::string_view digits = rest_.substr(is_hexadecimal ? 1 : 0, is_hexadecimal ? 2 : 3);
        const auto code = parse_number<std::uint8_t>(digits, is_hexadecimal ? 16 : 8);
        if (!code || *code == 0 || digits.size() != (is_hexadecimal ? 2 : 3))
            refuse("behind a backslash one of a b f n r t v s \\ \" ', or xHH or three octal digits, and no NUL");
        word += static_cast<char>(*code);
        rest_.remove_prefix(digits.size() + (is_hexadecimal ? 1 : 0));
    }

    std::string_view all_;
    std::string_view rest_;
    std::vector<std::string> words_{};
};

}  // namespace

std::vector<std::string> split_command(std::string_view text) { return CommandReader{text}.read(); }

std::string join_command(const std::vector<std::string>& words) {
    constexpr std::string_view special = " \t\r\n\v\f\"'\\";
    std::string text;
    for (const std::string& word : words) {
        if (!text.empty()) text += ' ';
        if (!word.empty() && word.find_first_of(special) == word.npos) {
            text += word;
            continue;
        }
        text += '"';
        for (const char c : word) {
            constexpr std::string_view written = "\r\n\v\f\"\\";
            constexpr std::string_view letters = "rnvf\"\\";
            const std::size_t at = written.find(c);
            text += at == written.npos ? std::string{c} : std::string{'\\', letters[at]};
        }
        text += '"';
    }
    return text;
}

std::string percent_encoded(std::string_view plain) {
    std::string text;
    for (const char c : plain)
        if (c > ' ' && c < '\x7f' && c != '%')
            text += c;
        else
            text += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    return text;
}

std::string percent_decoded(std::string_view text) {
    std::string plain;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const auto code = text[at] == '%' ? parse_number<std::uint8_t>(text.substr(at + 1, 2), 16) : std::nullopt;
        if (text[at] == '%' && (!code || at + 2 >= text.size()))
            refuse_value("a text, with %20 for a blank, %0D%0A for an end of line and %25 for %", text);
        plain += code ? static_cast<char>(*code) : text[at];
        if (code) at += 2;
    }
    return plain;
}

}  // namespace preforkd
