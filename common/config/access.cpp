#include "common/config/access.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>

#include "common/base/parse_number.hpp"
#include "common/base/quoted.hpp"
#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

bool add_word(std::string_view word, AccessList& list) {
    if (const auto user = parse_number<std::uint32_t>(word))
        list.users.push_back(*user);
    else if (const auto prefix = parse_host_prefix(word))
        list.prefixes.push_back(*prefix);
    else
        return false;
    return true;
}

[[noreturn]] void refuse_line(int number, std::string_view word) {
    const std::string why = why_no_host_prefix(word);
    throw std::invalid_argument{fmt::format(
        "line {}: {}", number,
        why.empty() ? fmt::format("expected an address, a prefix such as 192.0.2.0/24, or the number of a user, not {}",
                                  in_quotes(word))
                    : why)};
}

bool holds(const std::vector<std::uint32_t>& users, std::uint32_t user) {
    return std::ranges::find(users, user) != users.end();
}

}  // namespace

AccessList parse_access_list(std::string_view text) {
    AccessList list;
    for (const std::string_view word : split_at_commas(text))
        if (word.size() > 1 && word.front() == '@')
            list.files.emplace_back(word.substr(1));
        else if (!add_word(word, list))
            refuse_prefix(word, "addresses or prefixes such as 192.0.2.0/24,2001:db8::1, numbers of users, or @FILE",
                          text);
    return list;
}

std::string to_string(const AccessList& list) {
    std::vector<std::string> words;
    for (const HostPrefix& prefix : list.prefixes) words.push_back(to_string(prefix));
    for (const std::uint32_t user : list.users) words.push_back(std::to_string(user));
    for (const std::string& file : list.files) words.push_back('@' + file);
    return fmt::format("{}", fmt::join(words, ","));
}

void add_access_lines(std::string_view text, AccessList& list) {
    constexpr std::string_view blanks = " \t\v\f";
    constexpr std::string_view ends = "\n\r";
    for (int number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find_first_of(ends), text.size());
        std::string_view line = text.substr(0, end);
        line = line.substr(0, line.find('#'));
        const std::size_t length = text.substr(end, 2) == "\r\n" ? 2 : 1;
        text.remove_prefix(std::min(end + length, text.size()));
        for (;;) {
            line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
            if (line.empty()) break;
            const std::string_view word = line.substr(0, line.find_first_of(blanks));
            if (!add_word(word, list)) refuse_line(number, word);
            line.remove_prefix(word.size());
        }
    }
}

AccessTable::AccessTable(const AccessList& allow, const AccessList& deny)
    : allowed_users_{allow.users}, denied_users_{deny.users}, admits_others_{allow.empty()} {
    for (const HostPrefix& prefix : allow.prefixes) add(prefix, true);
    for (const HostPrefix& prefix : deny.prefixes) add(prefix, false);
    std::ranges::sort(levels_, std::ranges::greater{}, &Level::bits);
    for (Level& level : levels_) {
        // What denies comes first, and the first of the same address is found.
        std::ranges::sort(level.rules, [](const Rule& one, const Rule& other) {
            return one.first != other.first ? one.first < other.first : one.admits < other.admits;
        });
    }
}

AccessTable AccessTable::closed() {
    AccessTable table{{}, {}};
    table.admits_others_ = false;
    return table;
}

void AccessTable::add(const HostPrefix& prefix, bool admits) {
    auto level = std::ranges::find(levels_, prefix.bits, &Level::bits);
    if (level == levels_.end()) level = levels_.insert(levels_.end(), {.bits = prefix.bits});
    level->rules.push_back({.first = prefix.first, .admits = admits});
}

bool AccessTable::admits(const HostAddress& host) const noexcept {
    for (const Level& level : levels_) {
        if (is_ipv4(host) && level.bits < mapped_bits) break;
        const HostAddress first = first_of(host, level.bits);
        const auto rule = std::ranges::lower_bound(level.rules, first, {}, &Rule::first);
        if (rule != level.rules.end() && rule->first == first) return rule->admits;
    }
    return admits_others_;
}

bool AccessTable::admits_user(std::uint32_t user) const noexcept {
    if (holds(denied_users_, user)) return false;
    return admits_others_ || holds(allowed_users_, user);
}

}  // namespace preforkd
