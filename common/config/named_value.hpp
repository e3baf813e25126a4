#pragma once
// Values that have one name for each of their kinds: what options and endpoint keys take of them.  Pure.
#include <fmt/core.h>

#include <array>
#include <string>
#include <string_view>

#include "common/config/option_values.hpp"

namespace preforkd {

template <class Value>
struct Named {
    std::string_view name;
    Value value;
};

template <class Value, std::size_t N>
[[nodiscard]] Value read_named(const std::array<Named<Value>, N>& known, std::string_view text) {
    std::string names;
    for (const auto& each : known) {
        if (each.name == text) return each.value;
        names += fmt::format("{}{}", names.empty() ? "" : &each == &known.back() ? " or " : ", ", each.name);
    }
    refuse_value(names, text);
}

template <class Value, std::size_t N>
[[nodiscard]] std::string name_of(const std::array<Named<Value>, N>& known, Value value) {
    for (const auto& each : known)
        if (each.value == value) return std::string{each.name};
    return {};
}

}  // namespace preforkd
