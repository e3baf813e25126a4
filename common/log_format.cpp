#include "common/log_format.hpp"

#include <cmath>

#include "common/log_escape.hpp"

namespace preforkd {
namespace {

constexpr std::size_t level_width = 8;  // "warning" and a space

void append_text_field(LogLine& line, const LogField& field) noexcept {
    line.append(" ");
    append_log_name(line, field.name);
    line.append("=");
    const auto* const text = std::get_if<std::string_view>(&field.value);
    if (text == nullptr) return append_log_number(line, field, "");
    if (plain_word(*text)) return line.append(*text);
    line.append("\"");
    append_escaped(line, *text, LogEscape::Quoted);
    if (!line.cut()) line.append_ending("\"");
}

/// The content of a string and its closing quote, for which the reserve has room.
void append_json_string(LogLine& line, std::string_view value) noexcept {
    append_escaped(line, value, LogEscape::Json);
    line.append_ending(line.cut() ? "...\"" : "\"");
}

void append_json_field(LogLine& line, const LogField& field) noexcept {
    const std::size_t before = line.size();
    const auto* const text = std::get_if<std::string_view>(&field.value);
    line.append(",\"");
    append_log_name(line, field.name);
    line.append(text != nullptr ? "\":\"" : "\":");
    if (text == nullptr) append_log_number(line, field, "\"");
    if (line.cut()) {
        line.shorten_to(before);
    } else if (text != nullptr) {
        append_json_string(line, *text);
    }
}

}  // namespace

std::string_view LogTimestamp::text(std::chrono::system_clock::time_point time) noexcept {
    using namespace std::chrono;
    const auto digits = [this](std::size_t at, std::size_t count, std::int64_t number) {
        for (std::size_t left = count; left > 0; --left, number /= 10) {
            text_[at + left - 1] = static_cast<char>('0' + number % 10);
        }
    };
    const auto second = floor<seconds>(time);
    if (second != second_) {
        second_ = second;
        const auto day = floor<days>(second);
        const year_month_day date{day};
        const hh_mm_ss clock{second - day};
        std::memcpy(text_.data(), "0000-00-00T00:00:00.000Z", text_.size());
        digits(0, 4, std::max(0, static_cast<int>(date.year())));
        digits(5, 2, static_cast<unsigned>(date.month()));
        digits(8, 2, static_cast<unsigned>(date.day()));
        digits(11, 2, clock.hours().count());
        digits(14, 2, clock.minutes().count());
        digits(17, 2, clock.seconds().count());
    }
    digits(20, 3, floor<milliseconds>(time - second).count());
    return {text_.data(), text_.size()};
}

std::string_view to_string(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::Error: return "error";
        case LogLevel::Warning: return "warning";
        case LogLevel::Notice: return "notice";
        case LogLevel::Info: return "info";
        case LogLevel::Debug: return "debug";
    }
    return "";
}

bool has_field(const LogRecord& record, std::string_view name) noexcept {
    return std::any_of(record.fields.begin(), record.fields.end(),
                       [name](const LogField& field) { return field.name == name; });
}

void append_log_number(LogLine& line, const LogField& field, std::string_view quote) noexcept {
    if (const auto* const integer = std::get_if<std::int64_t>(&field.value)) return line.append_number(*integer);
    if (const auto* const natural = std::get_if<std::uint64_t>(&field.value)) return line.append_number(*natural);
    const double real = *std::get_if<double>(&field.value);
    if (std::isfinite(real)) return line.append_number(real);
    line.append_whole(quote);
    line.append_number(real);
    line.append_whole(quote);
}

LogLine format_text(const LogRecord& record, std::string_view timestamp) noexcept {
    LogLine line{std::string_view{"\"...\n"}.size()};
    line.append(timestamp);
    line.append(" ");
    line.append(to_string(record.level));
    line.append(std::string_view{"        "}.substr(0, level_width - to_string(record.level).size()));
    append_escaped(line, record.sentence, LogEscape::Sentence);
    if (record.worker != 0 && !has_field(record, "worker")) {
        line.append(" worker=");
        line.append_number(record.worker);
    }
    for (const LogField& field : record.fields) {
        if (!line.cut()) append_text_field(line, field);
    }
    line.append_ending(line.cut() ? "...\n" : "\n");
    return line;
}

LogLine format_json(const LogRecord& record, std::string_view timestamp) noexcept {
    constexpr std::string_view cut_mark = ",\"cut\":true";
    LogLine line{std::string_view{"...\"}\n"}.size() + cut_mark.size()};
    line.append("{\"time\":\"");
    line.append(timestamp);
    line.append("\",\"level\":\"");
    line.append(to_string(record.level));
    line.append("\"");
    if (!has_field(record, "pid")) {
        line.append(",\"pid\":");
        line.append_number(record.pid);
    }
    if (!has_field(record, "worker")) {
        line.append(",\"worker\":");
        line.append_number(record.worker);
    }
    line.append(",\"message\":\"");
    append_json_string(line, record.sentence);
    for (const LogField& field : record.fields) {
        if (!line.cut()) append_json_field(line, field);
    }
    if (line.cut()) line.append_ending(cut_mark);
    line.append_ending("}\n");
    return line;
}

}  // namespace preforkd
