#pragma once
// The kinds of value that options and endpoint keys take.  Pure.
//
// Each reader throws std::invalid_argument: `expected A NUMBER FROM 1 TO 9, not "x"`, to stand behind the option's
// name.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "preforkd/model.hpp"

namespace preforkd {

struct NumberRange {
    std::uint64_t min;
    std::uint64_t max;
};

inline constexpr int most_workers = 1024;
inline constexpr int most_connections = 1'000'000;
inline constexpr NumberRange backlog_range{.min = 1, .max = 2'147'483'647};  // int.  Source: listen(2)

/// Says what was expected instead of `text`.
[[noreturn]] void refuse_value(std::string_view expected, std::string_view text);

/// Says what is wrong with `word`, one of those in `text`, where a prefix may stand.
[[noreturn]] void refuse_prefix(std::string_view word, std::string_view expected, std::string_view text);

/// The words between commas, one at least; where nothing stands between two, an empty one.
[[nodiscard]] std::vector<std::string_view> split_at_commas(std::string_view text);

/// Decimal digits only: no sign, no blanks.
[[nodiscard]] std::uint64_t read_number(std::string_view text, NumberRange range);

/// Permission bits: octal digits, at most 0777.  `print_permissions` gives the text: `0027`.
[[nodiscard]] unsigned read_permissions(std::string_view text);
[[nodiscard]] std::string print_permissions(unsigned bits);

/// `yes` or `no`; `true`, `on`, `1`, `false`, `off`, `0` are understood, too.
[[nodiscard]] bool read_yes_no(std::string_view text);
[[nodiscard]] std::string print_yes_no(bool value);

/// A duration of parse_duration(); zero means never.
[[nodiscard]] std::chrono::milliseconds read_timeout(std::string_view text);

/// A duration of parse_duration() that ends some time: not zero.  `example`: such as `3s`, for the error.
[[nodiscard]] std::chrono::milliseconds read_patience(std::string_view text, std::string_view example);

/// `N/s`, at most a million; 0 for `off`, which is no limit.
[[nodiscard]] std::uint32_t read_rate(std::string_view text);
[[nodiscard]] std::string print_rate(std::uint32_t per_second);

/// async, serial, thread or fork.
[[nodiscard]] Model read_model(std::string_view text);

/// A name of one printable word: a user, a handler.  `expected` says which, for the error.
[[nodiscard]] std::string read_word(std::string_view text, std::string_view expected);

/// A path as the kernel takes it: not empty, no NUL, shorter than PATH_MAX.
[[nodiscard]] std::string read_path(std::string_view text, std::string_view expected);

}  // namespace preforkd
