#include "common/config/early_errors.hpp"

#include <algorithm>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string_view>

#include "common/config/options_table.hpp"

namespace preforkd {
namespace {

constexpr std::string_view option = "--log-format";
constexpr std::string_view variable = "PREFORKD_LOG_FORMAT=";

std::optional<LogFormat> read_format(const std::string& text) {
    try {
        Settings settings;
        find_option(option.substr(2))->read(settings, text);
        return settings.log.format;
    } catch (const std::invalid_argument&) { return std::nullopt; }
}

bool asks_for_a_tool(std::string_view word) {
    const bool is_letter = word.size() == 2 && word[0] == '-';
    const OptionRow* row = word.starts_with("--") ? find_option(word.substr(2))
                           : is_letter            ? find_option(word[1])
                                                  : nullptr;
    return row != nullptr && !row->takes_value();
}

}  // namespace

LogFormat format_of_early_errors(const std::vector<std::string>& arguments,
                                 const std::vector<std::string>& environment) {
    const auto end = std::ranges::find(arguments, "--");
    if (std::any_of(arguments.begin(), end, asks_for_a_tool)) return LogFormat::Text;
    for (auto word = arguments.begin(); word != end; ++word) {
        std::optional<LogFormat> format;
        if (*word == option && word + 1 != end) format = read_format(word[1]);
        if (word->starts_with(option) && word->substr(option.size()).starts_with('='))
            format = read_format(word->substr(option.size() + 1));
        if (format) return *format;
    }
    for (const std::string& line : environment)
        if (line.starts_with(variable)) return read_format(line.substr(variable.size())).value_or(LogFormat::Auto);
    return LogFormat::Auto;
}

}  // namespace preforkd
