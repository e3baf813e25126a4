#pragma once
// What a generator is told: `--name VALUE` pairs, checked against a table.  What does not fit is one line of usage.
#include <charconv>
#include <cstddef>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace load {

/// The command line is wrong: the program is to say so and exit with EX_USAGE.
class UsageError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// An option that takes a number of a range.  Without `fallback` it has to be given.
struct Number {
    std::string name;
    std::size_t least = 0;
    std::size_t most = 1'000'000'000;
    std::optional<std::size_t> fallback{};
};

/// An option that takes text: one of `choices`, or any if there are none.
struct Text {
    std::string name;
    std::string fallback;
    std::vector<std::string> choices{};
};

class Arguments {
public:
    Arguments(int argc, char** argv, std::vector<Number> numbers, std::vector<Text> texts = {})
        : numbers_{std::move(numbers)}, texts_{std::move(texts)} {
        for (const Number& option : numbers_)
            if (option.fallback) number_of_[option.name] = *option.fallback;
        for (const Text& option : texts_) text_of_[option.name] = option.fallback;
        const std::vector<std::string> words(argv + 1, argv + argc);
        for (std::size_t each = 0; each < words.size(); each += 2) {
            if (each + 1 == words.size()) refuse("a value is missing behind " + words[each]);
            take(words[each], words[each + 1]);
        }
        for (const Number& option : numbers_)
            if (!number_of_.contains(option.name)) refuse("--" + option.name + " is missing");
    }

    [[nodiscard]] std::size_t operator[](const std::string& name) const { return number_of_.at(name); }
    [[nodiscard]] const std::string& text(const std::string& name) const { return text_of_.at(name); }

private:
    void take(const std::string& option, const std::string& value) {
        for (const Number& each : numbers_)
            if (option == "--" + each.name) return take_number(each, value);
        for (const Text& each : texts_)
            if (option == "--" + each.name) return take_text(each, value);
        refuse("no option is called " + option);
    }

    void take_number(const Number& option, std::string_view value) {
        std::size_t number = 0;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
        if (error != std::errc{} || end != value.data() + value.size() || number < option.least || number > option.most)
            refuse("--" + option.name + " is a number from " + std::to_string(option.least) + " to " +
                   std::to_string(option.most) + ", not " + std::string{value});
        number_of_[option.name] = number;
    }

    void take_text(const Text& option, const std::string& value) {
        bool fits = option.choices.empty();
        for (const std::string& choice : option.choices) fits = fits || choice == value;
        if (!fits) refuse("--" + option.name + " is not to be " + value);
        text_of_[option.name] = value;
    }

    [[noreturn]] void refuse(const std::string& why) const {
        std::string usage;
        for (const Number& option : numbers_)
            usage += option.fallback ? " [--" + option.name + " N]" : " --" + option.name + " N";
        for (const Text& option : texts_) {
            std::string values;
            for (const std::string& choice : option.choices) values += (values.empty() ? "" : "|") + choice;
            usage += " [--" + option.name + ' ' + (values.empty() ? "TEXT" : values) + ']';
        }
        throw UsageError{why + "; usage:" + usage};
    }

    std::vector<Number> numbers_;
    std::vector<Text> texts_;
    std::map<std::string, std::size_t> number_of_{};
    std::map<std::string, std::string> text_of_{};
};

}  // namespace load
