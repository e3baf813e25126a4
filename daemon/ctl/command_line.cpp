#include "daemon/ctl/command_line.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ranges>
#include <stdexcept>

#include "common/base/nearest_name.hpp"
#include "common/base/quoted.hpp"
#include "common/base/units.hpp"

namespace preforkd {
namespace {

const CtlOption* find_option(std::string_view name) {
    const auto found = std::ranges::find(ctl_options(), name, &CtlOption::name);
    return found == ctl_options().end() ? nullptr : &*found;
}

const CtlOption* find_option(char letter) {
    const auto found = std::ranges::find(ctl_options(), letter, &CtlOption::letter);
    return found == ctl_options().end() ? nullptr : &*found;
}

/// A word that begins with a dash, taken apart: `--name`, `--name=value`, `-x`, `-xvalue`.
struct Spelling {
    std::string shown;  ///< the option as it was written, without its value
    const CtlOption* option = nullptr;
    std::optional<std::string> value{};
};

Spelling read_spelling(const std::string& word) {
    if (word.starts_with("--")) {
        const std::size_t equals = word.find('=');
        Spelling spelling{.shown = word.substr(0, equals), .option = find_option(word.substr(2, equals - 2))};
        if (equals != word.npos) spelling.value = word.substr(equals + 1);
        return spelling;
    }
    Spelling spelling{.shown = word.substr(0, 2), .option = find_option(word[1])};
    if (word.size() == 2) return spelling;
    if (spelling.option != nullptr && !spelling.option->argument.empty())
        spelling.value = word.substr(2);
    else
        spelling = {.shown = word};
    return spelling;
}

bool is_option(const std::string& word) {
    return word.size() > 1 && word[0] == '-' && word != "--" && read_spelling(word).option != nullptr;
}

[[noreturn]] void refuse_command(const std::string& word) {
    if (word.find("://") != std::string::npos || word.starts_with(':'))
        refuse(fmt::format("say what to do with {0}: preforkctl send {0}", printable(word)));
    std::vector<std::string_view> names;
    for (const CtlCommand& each : ctl_commands()) names.push_back(each.name);
    if (const auto nearest = nearest_name(word, names))
        refuse(fmt::format("unknown command {}; did you mean {}?", in_quotes(word), *nearest));
    refuse(fmt::format("unknown command {}; there are {}", in_quotes(word), fmt::join(names, ", ")));
}

[[noreturn]] void refuse_unknown(const std::string& shown, const CtlCommand* command) {
    const bool may_be_text = command != nullptr && command->name == "send";
    const auto refuse_text = [&] {
        refuse(fmt::format("unknown option {}; a TEXT that begins with - stands behind --: send ENDPOINT -- TEXT",
                           in_quotes(shown)));
    };
    if (may_be_text && !shown.starts_with("--") && shown.size() > 2) refuse_text();
    std::vector<std::string_view> names;
    for (const CtlOption& each : ctl_options())
        if (command == nullptr || goes_with(each, *command)) names.push_back(each.name);
    const std::string_view name = std::string_view{shown}.substr(std::min(shown.find_first_not_of('-'), shown.size()));
    const auto same_letter =
        std::ranges::find_if(names, [&](std::string_view each) { return name.size() == 1 && each.starts_with(name); });
    if (const auto nearest = same_letter != names.end() ? *same_letter : nearest_name(name, names))
        refuse(fmt::format("unknown option {}; did you mean --{}?", in_quotes(shown), *nearest));
    if (may_be_text) refuse_text();
    refuse(fmt::format("unknown option {}; see preforkctl {}{}--help", in_quotes(shown),
                       command == nullptr ? "" : command->name, command == nullptr ? "" : " "));
}

class Parser {
public:
    explicit Parser(const std::vector<std::string>& arguments) : arguments_{arguments} {}

    CommandLine parse() {
        while (next_ < arguments_.size()) {
            const std::string& word = arguments_[next_++];
            if (only_words_ || word.size() < 2 || word[0] != '-')
                take_word(word);
            else if (word == "--")
                only_words_ = true;
            else
                take_option(word);
        }
        if (line_.command == nullptr) refuse("say what to do: preforkctl status; see preforkctl --help");
        for (const auto& option : line_.options)
            if (std::ranges::none_of(ctl_options(), [&](const CtlOption& each) {
                    return each.name == option.first && goes_with(each, *line_.command);
                }))
                refuse(fmt::format("--{}: does not go with {}", option.first, line_.command->name));
        return std::move(line_);
    }

private:
    void take_word(const std::string& word) {
        if (line_.command != nullptr) return line_.words.push_back(word);
        line_.command = find_ctl_command(word);
        if (line_.command == nullptr) refuse_command(word);
    }

    void take_option(const std::string& word) {
        Spelling spelling = read_spelling(word);
        const CtlOption* option = spelling.option;
        if (option == nullptr) refuse_unknown(spelling.shown, line_.command);
        if (option->argument.empty() && spelling.value)
            refuse(fmt::format("{0}: takes no value; write {0}", spelling.shown));
        if (!option->argument.empty() && !spelling.value) spelling.value = take_value(spelling);
        if (!line_.options.emplace(option->name, spelling.value.value_or("")).second)
            refuse(fmt::format("--{}: given twice; keep one", option->name));
    }

    std::string take_value(const Spelling& spelling) {
        if (next_ == arguments_.size() || arguments_[next_] == "--")
            refuse(fmt::format("{0}: has no value; write {0} {1}", spelling.shown, spelling.option->argument));
        const std::string& value = arguments_[next_++];
        if (is_option(value))
            refuse(fmt::format("--{0}: has no value, {1} is an option; if it is meant: --{0}={1}",
                               spelling.option->name, printable(value)));
        return value;
    }

    const std::vector<std::string>& arguments_;
    std::size_t next_ = 0;
    bool only_words_ = false;
    CommandLine line_{};
};

}  // namespace

void refuse(const std::string& sentence) { throw std::invalid_argument{sentence}; }

std::optional<std::string> CommandLine::value(std::string_view option) const {
    const auto found = options.find(option);
    return found == options.end() ? std::nullopt : std::optional{found->second};
}

CommandLine parse_command_line(const std::vector<std::string>& arguments) {
    // Whoever forgets how a command goes on writes it behind what he has, which then need not be right.
    const auto end = std::ranges::find(arguments, "--");
    const auto asks_for = [&](std::string_view option, std::string_view letter) {
        return std::any_of(arguments.begin(), end, [&](const auto& word) { return word == option || word == letter; });
    };
    if (asks_for("--help", "-h") || (!arguments.empty() && arguments[0] == "help")) {
        CommandLine line{.task = CommandLine::Task::Help};
        for (auto word = arguments.begin(); word != end && line.command == nullptr; ++word)
            line.command = find_ctl_command(*word);
        return line;
    }
    if (asks_for("--version", "-V")) return {.task = CommandLine::Task::Version};
    return Parser{arguments}.parse();
}

std::chrono::milliseconds read_ctl_timeout(const std::string& text) {
    const auto timeout = parse_duration(text);
    if (!timeout)
        refuse(fmt::format("--timeout: {} is not a duration; expected such as 500ms, 5s or 1m30s, 0 is for ever",
                           in_quotes(text)));
    return *timeout;
}

}  // namespace preforkd
