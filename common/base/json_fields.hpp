#pragma once
// Reading a JSON object whose fields may be missing, null or of a later version.  Only for files that speak JSON.
#include <boost/json.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace preforkd {

/// What lacks, or is something else, reads as zero, empty or nullopt.
class JsonFields {
public:
    explicit JsonFields(const boost::json::value& value) : object_{value.if_object()} {}

    [[nodiscard]] std::string text(std::string_view name) const {
        const boost::json::value* value = find(name);
        return value != nullptr && value->is_string() ? std::string{value->get_string()} : std::string{};
    }
    template <class Integer>
    [[nodiscard]] std::optional<Integer> maybe(std::string_view name) const {
        const boost::json::value* value = find(name);
        if (value == nullptr || !value->is_number()) return std::nullopt;
        boost::json::error_code error;
        const auto number = value->to_number<Integer>(error);
        return error ? std::nullopt : std::optional<Integer>{number};
    }
    template <class Integer>
    [[nodiscard]] Integer number(std::string_view name) const {
        return maybe<Integer>(name).value_or(Integer{});
    }
    [[nodiscard]] std::chrono::milliseconds milliseconds(std::string_view name) const {
        return std::chrono::milliseconds{number<std::int64_t>(name)};
    }
    [[nodiscard]] bool is_true(std::string_view name) const {
        const boost::json::value* value = find(name);
        return value != nullptr && value->is_bool() && value->get_bool();
    }
    /// The elements of an array; none if it is none.
    [[nodiscard]] const boost::json::array& elements(std::string_view name) const {
        static const boost::json::array none;
        const boost::json::value* value = find(name);
        return value != nullptr && value->is_array() ? value->get_array() : none;
    }

private:
    [[nodiscard]] const boost::json::value* find(std::string_view name) const {
        return object_ == nullptr ? nullptr : object_->if_contains(name);
    }
    const boost::json::object* object_;
};

/// `what` begins the sentence of the std::runtime_error: "the status is".
[[nodiscard]] inline boost::json::value parse_json(std::string_view text, const std::string& what) {
    boost::json::error_code error;
    boost::json::value value = boost::json::parse(text, error);
    if (error) throw std::runtime_error{what + " not valid JSON: " + error.message()};
    return value;
}

template <class Number>
[[nodiscard]] boost::json::value or_null(const std::optional<Number>& number) {
    return number ? boost::json::value(*number) : boost::json::value(nullptr);
}

[[nodiscard]] inline boost::json::value or_null(const std::string& text) {
    return text.empty() ? boost::json::value(nullptr) : boost::json::value(text);
}

}  // namespace preforkd
