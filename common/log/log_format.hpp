#pragma once
// One event as one line of text or JSON.  Pure: the time is given, nothing is written.
#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/log/log_escape.hpp"
#include "common/log/log_line.hpp"
#include "preforkd/log.hpp"

namespace preforkd {

/// Everything a line says.
///
/// A field that is called `worker` or `pid` takes the place of the process's own: the master's line about worker 3 is
/// found where worker 3's own lines are, and JSON never has one key twice.  No field is called `time`, `level`,
/// `message` or `cut`.
struct LogRecord {
    LogLevel level = LogLevel::Info;
    std::string_view sentence{};
    std::span<const LogField> fields{};
    int pid = 0;
    int worker = 0;  ///< 0: the master
};

/// A point in time as `2026-11-22T16:02:11.123Z`.  Keeps the second's text: only the milliseconds change from line to
/// line.  The view is good until the next call.
class LogTimestamp {
public:
    std::string_view text(std::chrono::system_clock::time_point time) noexcept;

private:
    std::chrono::sys_seconds second_ = std::chrono::sys_seconds::min();
    std::array<char, 24> text_{};
};

[[nodiscard]] std::string_view to_string(LogLevel level) noexcept;

/// The field that is called `name`; nullptr: none is.
[[nodiscard]] const LogField* find_field(const LogRecord& record, std::string_view name) noexcept;

struct AppendedSentence {
    bool names_fields = false;
    bool cut = false;
};

/// Appends the sentence with the values of the fields that it names: `listening on {endpoint}`.  A brace that names no
/// field stays, and braces in a value are only text.  Beside fields a sentence takes half a line at most, so that a
/// long value that it names does not push the fields out, and what was cut ends with `...`.
AppendedSentence append_sentence(LogLine& line, const LogRecord& record, LogEscape style) noexcept;

/// Appends the number of a field that holds no text.  `quote` goes around infinity and "not a number", which JSON has
/// no number for.  Source: RFC 8259, section 6.
void append_log_number(LogLine& line, const LogField& field, std::string_view quote) noexcept;

/// `2026-11-22T16:02:11.123Z info    worker 3: sentence name=value name="quoted value"` and a newline; a line that was
/// cut ends with `...`.
[[nodiscard]] LogLine format_text(const LogRecord& record, std::string_view timestamp) noexcept;

/// The same for somebody who looks on: a sentence that names fields stands for all of them, only one that names none is
/// followed by its fields.  `coloured`: by level, with the SGR sequences of ECMA-48.
[[nodiscard]] LogLine format_terminal(const LogRecord& record, std::string_view timestamp, bool coloured) noexcept;

/// `{"time":"...","level":"info","pid":7,"worker":3,"message":"sentence","name":"value"}` and a newline.  A line that
/// was cut stays valid: the string that was cut ends with `...`, and the last member is `"cut":true`.
[[nodiscard]] LogLine format_json(const LogRecord& record, std::string_view timestamp) noexcept;

}  // namespace preforkd
