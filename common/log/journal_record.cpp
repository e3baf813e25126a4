#include "common/log/journal_record.hpp"

namespace preforkd {
namespace {

constexpr std::string_view prefix = "PREFORKD_";
constexpr std::size_t name_limit_bytes = 64;  // journald drops a field with a longer name: journal-file.c
constexpr std::string_view cut_mark = "PREFORKD_CUT=1\n";

void append_name(LogLine& line, std::string_view name) noexcept {
    constexpr auto upper = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; };
    std::array<char, name_limit_bytes> letters;
    const std::size_t size = std::min(name.size(), letters.size() - prefix.size());
    std::transform(name.begin(), name.begin() + static_cast<std::ptrdiff_t>(size), letters.begin(), upper);
    line.append(prefix);
    append_log_name(line, {letters.data(), size});
}

/// Ends a value: the reserve has capacity for it.
void end_value(LogLine& line) noexcept { line.append_ending(line.cut() ? "...\n" : "\n"); }

/// A value with newlines stands behind its size, 8 bytes little-endian; any other behind an equals sign.
void append_field(LogLine& line, const LogField& field) noexcept {
    constexpr std::string_view sized_start{"\n\0\0\0\0\0\0\0\0", 9};
    const std::size_t before = line.size();
    const auto* const text = std::get_if<std::string_view>(&field.value);
    const bool sized = text != nullptr && text->find('\n') != std::string_view::npos;
    append_name(line, field.name);
    line.append_whole(sized ? sized_start : "=");
    if (text == nullptr) append_log_number(line, field, "");
    if (line.cut()) return line.shorten_to(before);
    if (text == nullptr) return line.append_ending("\n");

    const std::size_t start = line.size();
    append_escaped(line, *text, LogEscape::JournalValue);
    end_value(line);
    if (!sized) return;
    const std::size_t value_bytes = line.size() - start - 1;
    std::array<char, sized_start.size() - 1> size{};
    for (std::size_t at = 0; at < size.size(); ++at) size[at] = static_cast<char>(value_bytes >> 8 * at & 0xff);
    line.overwrite(start - size.size(), {size.data(), size.size()});
}

}  // namespace

LogLine format_journal(const LogRecord& record) noexcept {
    LogLine line{std::string_view{"...\n"}.size() + cut_mark.size()};
    line.append("PRIORITY=");
    line.append_number(journal_priority(record.level));
    line.append("\nSYSLOG_IDENTIFIER=preforkd\n");
    if (find_field(record, "worker") == nullptr) {
        line.append("PREFORKD_WORKER=");
        line.append_number(record.worker);
        line.append("\n");
    }
    line.append("MESSAGE=");
    const bool sentence_cut = append_sentence(line, record, LogEscape::Sentence).cut;
    end_value(line);
    for (const LogField& field : record.fields) {
        if (!line.cut()) append_field(line, field);
    }
    if (line.cut() || sentence_cut) line.append_ending(cut_mark);
    return line;
}

}  // namespace preforkd
