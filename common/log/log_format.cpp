#include "common/log/log_format.hpp"

#include <cmath>

namespace preforkd {
namespace {

constexpr std::size_t level_width = 8;  // "warning" and a space
constexpr std::size_t line_end_bytes = std::string_view{"\"...\n"}.size();
constexpr std::string_view dim = "\x1b[2m";
constexpr std::string_view plain_again = "\x1b[0m";

constexpr std::string_view colour_of(LogLevel level) noexcept {
    switch (level) {
        case LogLevel::Error: return "\x1b[1;31m";    // bold red
        case LogLevel::Warning: return "\x1b[1;33m";  // bold yellow
        case LogLevel::Notice: return "\x1b[32m";     // green
        case LogLevel::Info: return "";
        case LogLevel::Debug: return dim;
    }
    return "";
}

void append_level(LogLine& line, LogLevel level, std::string_view colour = {}) noexcept {
    line.append(colour);
    line.append(to_string(level));
    if (!colour.empty()) line.append(plain_again);
    line.append(std::string_view{"        "}.substr(0, level_width - to_string(level).size()));
}

/// As it stands in a sentence.
void append_value(LogLine& line, const LogField& field, LogEscape style) noexcept {
    const auto* const text = std::get_if<std::string_view>(&field.value);
    if (text == nullptr) return append_log_number(line, field, "");
    append_escaped(line, *text, style);
}

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

/// `worker 3: `, in front of what a client may have said, so that none can speak for another worker.
void append_worker(LogLine& line, const LogRecord& record) noexcept {
    if (record.worker == 0 || find_field(record, "worker") != nullptr) return;
    line.append("worker ");
    line.append_number(record.worker);
    line.append(": ");
}

/// ` name=value`, and the end of the line.
void append_text_fields(LogLine& line, std::span<const LogField> fields) noexcept {
    for (const LogField& field : fields) {
        if (!line.cut()) append_text_field(line, field);
    }
    line.append_ending(line.cut() ? "...\n" : "\n");
}

/// Closes a string: the reserve has capacity for it.
void end_json_string(LogLine& line) noexcept { line.append_ending(line.cut() ? "...\"" : "\""); }

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
        append_escaped(line, *text, LogEscape::Json);
        end_json_string(line);
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

const LogField* find_field(const LogRecord& record, std::string_view name) noexcept {
    const auto found = std::find_if(record.fields.begin(), record.fields.end(),
                                    [name](const LogField& field) { return field.name == name; });
    return found == record.fields.end() ? nullptr : &*found;
}

AppendedSentence append_sentence(LogLine& line, const LogRecord& record, LogEscape style) noexcept {
    AppendedSentence appended;
    if (record.fields.empty()) {
        append_escaped(line, record.sentence, style);
        return appended;
    }
    std::string_view rest = record.sentence;
    appended.cut = line.append_within(log_line_limit_bytes / 2, [&] {
        for (std::size_t open = rest.find('{'); open != std::string_view::npos; open = rest.find('{')) {
            const std::size_t close = rest.find('}', open);
            const LogField* const field =
                close == std::string_view::npos ? nullptr : find_field(record, rest.substr(open + 1, close - open - 1));
            append_escaped(line, rest.substr(0, field == nullptr ? open + 1 : open), style);
            if (field != nullptr) append_value(line, *field, style);
            rest.remove_prefix(field == nullptr ? open + 1 : close + 1);
            appended.names_fields = appended.names_fields || field != nullptr;
        }
        append_escaped(line, rest, style);
    });
    if (appended.cut) line.append("...");
    return appended;
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
    LogLine line{line_end_bytes};
    line.append(timestamp);
    line.append(" ");
    append_level(line, record.level);
    append_worker(line, record);
    append_sentence(line, record, LogEscape::Sentence);
    append_text_fields(line, record.fields);
    return line;
}

LogLine format_terminal(const LogRecord& record, std::string_view timestamp, bool coloured) noexcept {
    LogLine line{line_end_bytes};
    if (coloured) line.append(dim);
    line.append(timestamp);
    if (coloured) line.append(plain_again);
    line.append(" ");
    append_level(line, record.level, coloured ? colour_of(record.level) : std::string_view{});
    append_worker(line, record);
    const bool says_all = append_sentence(line, record, LogEscape::Sentence).names_fields;
    append_text_fields(line, says_all ? std::span<const LogField>{} : record.fields);
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
    if (find_field(record, "pid") == nullptr) {
        line.append(",\"pid\":");
        line.append_number(record.pid);
    }
    if (find_field(record, "worker") == nullptr) {
        line.append(",\"worker\":");
        line.append_number(record.worker);
    }
    line.append(",\"message\":\"");
    const bool sentence_cut = append_sentence(line, record, LogEscape::Json).cut;
    end_json_string(line);
    for (const LogField& field : record.fields) {
        if (!line.cut()) append_json_field(line, field);
    }
    if (line.cut() || sentence_cut) line.append_ending(cut_mark);
    line.append_ending("}\n");
    return line;
}

}  // namespace preforkd
