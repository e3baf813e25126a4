#include "common/config/config_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <system_error>

#include "common/base/operator_error.hpp"
#include "common/base/parse_number.hpp"
#include "common/base/quoted.hpp"
#include "common/base/sys_error.hpp"
#include "common/base/take_until.hpp"
#include "common/base/unique_fd.hpp"
#include "common/base/wiped_text.hpp"

namespace preforkd {
namespace {

constexpr std::string_view blanks = " \t\r\v\f";
constexpr char another_file = '\0';
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";  // what some editors write in front of UTF-8

std::string_view trimmed(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    return text.substr(0, text.find_last_not_of(blanks) + 1);
}

bool is_blank(char c) { return blanks.find(c) != std::string_view::npos; }

/// `text` without its comment.
std::string_view uncommented(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i)
        if (text[i] == '#' && (i == 0 || is_blank(text[i - 1]))) return text.substr(0, i);
    return text;
}

std::string place_of(std::string_view file, std::ptrdiff_t line) { return fmt::format("{}:{}", printable(file), line); }

[[noreturn]] void refuse_nul(const std::string& place) {
    throw OperatorError{ExitCode::Configuration, place + ": contains a NUL byte; expected a text file"};
}

class LineReader {
public:
    LineReader(std::string_view line, std::string place) : line_{line}, place_{std::move(place)} {}

    /// nullopt for a line that says nothing.
    [[nodiscard]] std::optional<ConfigLine> read() {
        if (line_.find('\0') != std::string_view::npos) refuse_nul(place_);
        if (trimmed(uncommented(line_)).empty()) return std::nullopt;
        if (const auto section = read_section()) return section;
        const std::size_t equals = line_.find('=');
        const std::string_view name = trimmed(uncommented(line_.substr(0, equals)));
        if (equals == std::string_view::npos || name.size() < trimmed(line_.substr(0, equals)).size())
            refuse(fmt::format("expected `name = value`, not {}", in_quotes(trimmed(line_))));
        if (name.empty()) refuse("expected a name in front of `=`");
        const std::string_view value = trimmed(line_.substr(equals + 1));
        return ConfigLine{.name = std::string{name},
                          .value = value.starts_with('"') ? read_quoted(value)
                                                          : std::string{trimmed(uncommented(line_.substr(equals + 1)))},
                          .place = place_};
    }

private:
    [[noreturn]] void refuse(std::string_view sentence) const {
        throw OperatorError{ExitCode::Configuration, fmt::format("{}: {}", place_, sentence)};
    }

    [[nodiscard]] std::optional<ConfigLine> read_section() const {
        const std::string_view text = trimmed(uncommented(line_));
        if (!text.starts_with('[')) return std::nullopt;
        const std::string_view name = trimmed(text.substr(1, text.size() - 2));
        if (!text.ends_with(']') || name.empty()) refuse(fmt::format("expected [ENDPOINT], not {}", in_quotes(text)));
        return ConfigLine{.name = std::string{name}, .place = place_, .is_section = true};
    }

    /// `text` begins with a quote.
    [[nodiscard]] std::string read_quoted(std::string_view text) const {
        std::string value;
        for (text.remove_prefix(1); !text.empty();) {
            const char c = text[0];
            text.remove_prefix(1);
            if (c == '"') {
                if (!trimmed(uncommented(text)).empty() || (text.starts_with('#')))
                    refuse(
                        "expected nothing but a comment behind the closing quote; write \\\" for a quote in a value");
                return value;
            }
            value += c == '\\' ? read_escape(text) : c;
        }
        refuse("expected a closing quote at the end of the value");
    }

    /// Takes what stands behind a backslash.
    [[nodiscard]] char read_escape(std::string_view& text) const {
        constexpr std::string_view letters = "nrt\"\\";
        constexpr std::string_view meanings = "\n\r\t\"\\";
        if (!text.empty()) {
            const std::size_t letter = letters.find(text[0]);
            if (letter != std::string_view::npos) {
                text.remove_prefix(1);
                return meanings[letter];
            }
            const std::string_view digits = text.substr(1, 2);
            const auto code = parse_number<unsigned>(digits, 16);
            if (text[0] == 'x' && digits.size() == 2 && code) {
                text.remove_prefix(3);
                return static_cast<char>(*code);
            }
        }
        refuse("unknown escape in the quotes; expected \\\\ \\\" \\n \\r \\t or \\xHH");
    }

    std::string_view line_;
    std::string place_;
};

}  // namespace

std::vector<ConfigLine> parse_config(std::string_view text, std::string_view file) {
    std::vector<ConfigLine> lines;
    std::size_t files = 0;
    for (int number = 1; !text.empty(); ++number) {
        if (number == 1 && text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
        const std::string_view line = take_until(text, '\n');
        if (line.starts_with(another_file)) {
            file = line.substr(1);
            ++files;
            number = 0;
        } else if (auto read = LineReader{line, place_of(file, number)}.read()) {
            read->file = files;
            lines.push_back(std::move(*read));
        }
    }
    return lines;
}

void require_text(std::string_view text, std::string_view file) {
    const std::size_t nul = text.find('\0');
    if (nul != std::string_view::npos) refuse_nul(place_of(file, 1 + std::ranges::count(text.substr(0, nul), '\n')));
}

void append_config(std::string& text, std::string_view more, std::string_view file) {
    if (!text.empty() && !text.ends_with('\n')) text += '\n';
    text += another_file;
    text.append(file).append(1, '\n').append(more);
}

std::vector<std::string> config_directory_files(const std::string& directory) {
    std::vector<std::string> files;
    std::error_code error;
    for (std::filesystem::directory_iterator each{directory, error}; !error && each != end(each); each.increment(error))
        if (const std::string name = each->path().filename(); name.ends_with(".conf") && !name.starts_with('.'))
            files.push_back(each->path());
    if (error && error != std::errc::no_such_file_or_directory) throw std::system_error{error};
    std::ranges::sort(files);
    return files;
}

Emptied compare_configs(std::string_view before, std::string_view now) {
    if (parse_config(before, "").empty() || !parse_config(now, "").empty()) return Emptied::No;
    return now.find('#') == std::string_view::npos ? Emptied::Blank : Emptied::AllCommented;
}

std::string config_value(std::string_view value) {
    const bool bare = !value.empty() && is_printable(value) && value[0] != '"' &&
                      trimmed(value).size() == value.size() && uncommented(value).size() == value.size();
    return bare ? std::string{value} : in_quotes_uncut(value);
}

/// What opening or reading may wait for.  Throws std::invalid_argument.
void refuse_special_file(const std::string& file) {
    struct stat info {};
    if (::stat(file.c_str(), &info) == -1) return;  // open(2) says why
    if (S_ISFIFO(info.st_mode)) throw std::invalid_argument{"it is a FIFO or a pipe"};
    if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) throw std::invalid_argument{"it is a device"};
}

std::string read_config_file(const std::string& file, std::size_t largest_bytes) {
    refuse_special_file(file);
    const UniqueFd fd{check(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY), "open")};
    WipedText whole;  // it may be a key
    WipedText piece{std::string(16384, '\0')};
    while (true) {
        const ssize_t got = ::read(fd.get(), piece.text().data(), piece.text().size());
        if (got == -1 && errno == EINTR) continue;
        check(static_cast<int>(got), "read");
        if (got == 0) return whole.take();
        whole.append(std::string_view{piece.text()}.substr(0, static_cast<std::size_t>(got)));
        if (whole.text().size() > largest_bytes)
            throw std::length_error{fmt::format("larger than {} MiB", largest_bytes >> 20)};
    }
}

}  // namespace preforkd
