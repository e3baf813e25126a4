#include "common/config/own_options.hpp"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "common/base/nearest_name.hpp"
#include "common/base/quoted.hpp"
#include "common/config/options_table.hpp"

namespace preforkd {

namespace {

bool is_option_name(std::string_view name) {
    const auto is_small = [](char c) { return c >= 'a' && c <= 'z'; };
    const auto fits = [&](char c) { return is_small(c) || (c >= '0' && c <= '9') || c == '-'; };
    return name.size() > 1 && is_small(name.front()) && !name.ends_with('-') && std::ranges::all_of(name, fits);
}

[[noreturn]] void refuse(const std::string& name, const char* why) {
    throw std::invalid_argument{"Options: " + in_quotes(name) + ": " + why};
}

}  // namespace

Options& Options::add(std::string name, std::string argument, std::string meaning, std::string standard) {
    if (!is_option_name(name)) refuse(name, "expected small letters, digits and dashes, beginning with a letter");
    if (find_option(name) != nullptr) refuse(name, "is an option of the daemon's; name it in another way");
    if (argument.empty()) refuse(name, "its value needs a name for --help, such as FILE");
    all_.push_back({std::move(name), std::move(argument), std::move(meaning), std::move(standard)});
    return *this;
}

const std::string& HandlerOptions::operator[](std::string_view name) const {
    const auto found = own.find(name);
    if (found == own.end())
        throw std::out_of_range{"HandlerOptions: " + in_quotes(std::string{name}) + " is none that options() declares"};
    return found->second;
}

std::vector<HandlerOption> own_options_of(const Handlers& handlers) {
    std::vector<HandlerOption> all;
    for (const HandlerEntry& entry : handlers.entries())
        for (const HandlerOption& option : entry.options)
            if (std::ranges::find(all, option.name, &HandlerOption::name) == all.end()) all.push_back(option);
    return all;
}

HandlerOptions with_standards(HandlerOptions given, const HandlerEntry& entry) {
    for (const HandlerOption& option : entry.options) given.own.try_emplace(option.name, option.standard);
    return given;
}

HandlerOptions options_for(const HandlerEntry& entry, const Settings& settings) {
    HandlerOptions options{.greeting = settings.greeting};
    for (const HandlerOption& option : entry.options)
        if (const auto given = settings.own.find(option.name); given != settings.own.end()) options.own.insert(*given);
    return with_standards(std::move(options), entry);
}

// --- In the table ---

void OptionRow::take(Settings& settings, std::string_view text) const {
    if (own != nullptr)
        settings.own[own->name] = text;
    else
        read(settings, text);
}

std::vector<std::string> OptionRow::values(const Settings& settings) const {
    if (own == nullptr) return print(settings);
    const auto given = settings.own.find(own->name);
    if (given != settings.own.end()) return {given->second};
    return own->standard.empty() ? std::vector<std::string>{} : std::vector{own->standard};
}

OptionTable::OptionTable(std::vector<HandlerOption> own)
    : own_{std::make_shared<const std::vector<HandlerOption>>(std::move(own))},
      rows_{option_table().begin(), option_table().end()} {
    for (const HandlerOption& option : *own_)
        rows_.push_back({.name = option.name,
                         .letter = 0,
                         .argument = option.argument,
                         .group = "The handler",
                         .meaning = option.meaning,
                         .unset = "none",
                         .read = nullptr,
                         .print = nullptr,
                         .own = &option});
}

const OptionRow* OptionTable::find(std::string_view name) const noexcept {
    const auto row = std::ranges::find(rows_, name, &OptionRow::name);
    return row == rows_.end() ? nullptr : &*row;
}

std::string_view OptionTable::nearest(std::string_view wrong) const {
    std::vector<std::string_view> names;
    std::ranges::transform(rows_, std::back_inserter(names), &OptionRow::name);
    return nearest_name(wrong, names).value_or("");
}

}  // namespace preforkd
