#include "daemon/ctl/import/xinetd_text.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "common/base/quoted.hpp"
#include "common/base/take_until.hpp"
#include "daemon/ctl/import/old_words.hpp"

namespace preforkd {
namespace {

/// The lines of a text that say something.
class Lines {
public:
    Lines(std::string_view text, std::string_view file) : rest_{text}, file_{file} {}

    std::optional<std::string_view> next() {
        while (!rest_.empty()) {
            const std::string_view line = without_blanks(take_until(rest_, '\n'));
            ++number_;
            if (!line.empty() && line.front() != '#') return line;
        }
        return std::nullopt;
    }
    [[nodiscard]] std::string place() const { return fmt::format("{}:{}", file_, number_); }

private:
    std::string_view rest_;
    std::string_view file_;
    int number_ = 0;
};

bool is_of_a_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// `NAME OPERATOR VALUES`; blanks around the operator may be left away.
std::optional<OldAttribute> read_attribute(std::string_view line) {
    using enum OldAttribute::Operation;
    const auto end = std::ranges::find_if_not(line, is_of_a_name);
    OldAttribute attribute{.name = {line.begin(), end}};
    line.remove_prefix(attribute.name.size());
    line = without_blanks(line);
    if (line.starts_with("+="))
        attribute.operation = Add;
    else if (line.starts_with("-="))
        attribute.operation = Remove;
    else if (!line.starts_with('='))
        return std::nullopt;
    line.remove_prefix(attribute.operation == Set ? 1 : 2);
    if (attribute.name.empty()) return std::nullopt;
    attribute.values = words_of_line(line);
    return attribute;
}

struct Keyword {
    std::string_view word;
    OldEntry::Kind kind;
};

constexpr std::array keywords{
    Keyword{"service", OldEntry::Kind::XinetdService}, Keyword{"defaults", OldEntry::Kind::Defaults},
    Keyword{"include", OldEntry::Kind::Include}, Keyword{"includedir", OldEntry::Kind::IncludeDirectory}};

const Keyword* keyword_of(std::string_view word) noexcept {
    const auto found = std::ranges::find(keywords, word, &Keyword::word);
    return found == keywords.end() ? nullptr : &*found;
}

class XinetdReader {
public:
    XinetdReader(std::string_view text, std::string_view file) : lines_{text, file} {}

    OldText read() {
        while (const auto line = lines_.next()) read_entry(*line);
        return std::move(text_);
    }

private:
    void remark(std::string sentence) { text_.remarks.push_back({lines_.place(), std::move(sentence)}); }

    void read_entry(std::string_view line) {
        const std::vector<std::string> words = words_of_line(line);
        const Keyword* const keyword = keyword_of(words.front());
        if (keyword == nullptr || (words.size() < 2 && keyword->kind != OldEntry::Kind::Defaults))
            return remark(fmt::format("expected service NAME, defaults, include FILE or includedir DIRECTORY, not {}",
                                      in_quotes(line)));
        OldEntry entry{.kind = keyword->kind, .name = words.size() < 2 ? "" : words[1], .place = lines_.place()};
        const bool has_attributes =
            keyword->kind == OldEntry::Kind::XinetdService || keyword->kind == OldEntry::Kind::Defaults;
        if (!has_attributes || read_attributes(entry)) text_.entries.push_back(std::move(entry));
    }

    bool read_attributes(OldEntry& entry) {
        auto line = lines_.next();
        if (line != "{") {
            remark(fmt::format("expected {{ alone in a line behind {}", words_before(entry)));
            return false;
        }
        while ((line = lines_.next()) && line != "}") {
            auto attribute = read_attribute(*line);
            if (!attribute) {
                remark(fmt::format("expected ATTRIBUTE = VALUE, not {}", in_quotes(*line)));
                continue;
            }
            attribute->place = lines_.place();
            entry.attributes.push_back(std::move(*attribute));
        }
        if (!line) remark(fmt::format("{} has no }} at its end, and is left out", words_before(entry)));
        return line.has_value();
    }

    static std::string words_before(const OldEntry& entry) {
        return entry.kind == OldEntry::Kind::Defaults ? "defaults" : "service " + printable(entry.name);
    }

    Lines lines_;
    OldText text_{};
};

}  // namespace

bool is_xinetd_text(std::string_view text) noexcept {
    const auto line = Lines{text, ""}.next();
    return line && keyword_of(line->substr(0, line->find_first_of(word_blanks))) != nullptr;
}

OldText parse_xinetd(std::string_view text, std::string_view file) { return XinetdReader{text, file}.read(); }

}  // namespace preforkd
