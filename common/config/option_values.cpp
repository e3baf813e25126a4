#include "common/config/option_values.hpp"

#include <fmt/core.h>

#include <array>
#include <stdexcept>

#include "common/base/internet_host.hpp"
#include "common/base/parse_number.hpp"
#include "common/base/quoted.hpp"
#include "common/base/units.hpp"

namespace preforkd {

void refuse_value(std::string_view expected, std::string_view text) {
    throw std::invalid_argument{fmt::format("expected {}, not {}", expected, in_quotes(text))};
}

void refuse_prefix(std::string_view word, std::string_view expected, std::string_view text) {
    if (const std::string why = why_no_host_prefix(word); !why.empty()) throw std::invalid_argument{why};
    refuse_value(expected, text);
}

std::vector<std::string_view> split_at_commas(std::string_view text) {
    std::vector<std::string_view> words;
    for (;;) {
        const std::size_t comma = text.find(',');
        words.push_back(text.substr(0, comma));
        if (comma == text.npos) return words;
        text.remove_prefix(comma + 1);
    }
}

std::uint64_t read_number(std::string_view text, NumberRange range) {
    const auto number = parse_number<std::uint64_t>(text);
    if (!number || *number < range.min || *number > range.max)
        refuse_value(fmt::format("a number from {} to {}", range.min, range.max), text);
    return *number;
}

unsigned read_permissions(std::string_view text) {
    const auto bits = parse_number<unsigned>(text, 8);
    if (!bits || *bits > 0777) refuse_value("octal permission bits from 0 to 0777", text);
    return *bits;
}

std::string print_permissions(unsigned bits) { return fmt::format("{:04o}", bits); }

bool read_yes_no(std::string_view text) {
    for (const std::string_view yes : {"yes", "true", "on", "1"})
        if (text == yes) return true;
    for (const std::string_view no : {"no", "false", "off", "0"})
        if (text == no) return false;
    refuse_value("yes or no", text);
}

std::string print_yes_no(bool value) { return value ? "yes" : "no"; }

std::chrono::milliseconds read_timeout(std::string_view text) {
    const auto duration = parse_duration(text);
    if (!duration) refuse_value("a duration such as 500ms, 30s or 1m30s, at most 365d, or 0 for never", text);
    return *duration;
}

std::chrono::milliseconds read_patience(std::string_view text, std::string_view example) {
    const auto duration = parse_duration(text);
    if (!duration || duration->count() == 0) refuse_value(fmt::format("a duration such as {}", example), text);
    return *duration;
}

std::uint32_t read_rate(std::string_view text) {
    constexpr std::uint32_t most = 1'000'000;
    if (text == "off") return 0;
    std::string_view rest = text;
    const auto number = take_number<std::uint32_t>(rest);
    if (!number || *number == 0 || *number > most || rest != "/s")
        refuse_value("a number a second from 1/s to 1000000/s, or off", text);
    return *number;
}

std::string print_rate(std::uint32_t per_second) { return per_second == 0 ? "off" : fmt::format("{}/s", per_second); }

Model read_model(std::string_view text) {
    for (const Model model : {Model::Async, Model::Serial, Model::Thread, Model::Fork})
        if (text == to_string(model)) return model;
    refuse_value("async, serial, thread or fork", text);
}

std::string read_word(std::string_view text, std::string_view expected) {
    constexpr std::size_t longest = 4095;
    const bool blank = text.find_first_of(" \t") != std::string_view::npos;
    if (text.empty() || blank || text.size() > longest || !is_printable(text)) refuse_value(expected, text);
    return std::string{text};
}

std::string read_path(std::string_view text, std::string_view expected) {
    constexpr std::size_t longest = 4095;  // PATH_MAX less its NUL.  Source: limits.h
    if (text.empty() || text.size() > longest || text.find('\0') != std::string_view::npos)
        refuse_value(expected, text);
    return std::string{text};
}

}  // namespace preforkd
