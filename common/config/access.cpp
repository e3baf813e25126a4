#include "common/config/access.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <tuple>

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

/// What one prefix says.  Of the same prefix, that with the greater weight is heard.
struct Rule {
    HostPrefix prefix{};
    int weight = 0;
    bool admits = false;
};

HostAddress last_of(const HostPrefix& prefix) {
    constexpr auto ones = ~std::uint64_t{0};
    const HostAddress masked = first_of({.high = ones, .low = ones}, prefix.bits);
    return {.high = prefix.first.high | ~masked.high, .low = prefix.first.low | ~masked.low};
}

HostAddress next_of(const HostAddress& host) {
    return {.high = host.high + (host.low + 1 == 0 ? 1 : 0), .low = host.low + 1};
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
    if (!allow.prefixes.empty() || !deny.prefixes.empty()) lay_out(allow, deny);
}

AccessTable AccessTable::closed() {
    AccessTable table{{}, {}};
    table.admits_others_ = false;
    return table;
}

/// Prefixes lie side by side or within each other: at any address the innermost of those that are open decides, and
/// where it ends the one around it does again.
void AccessTable::lay_out(const AccessList& allow, const AccessList& deny) {
    // A prefix of IPv6 that lies around IPv4's addresses holds none of them.
    std::vector<Rule> rules{
        {.prefix = {.first = {}, .bits = 0}, .weight = 0, .admits = admits_others_},
        {.prefix = {.first = ipv4_host(0), .bits = mapped_bits}, .weight = 0, .admits = admits_others_}};
    for (const HostPrefix& prefix : allow.prefixes) rules.push_back({.prefix = prefix, .weight = 1, .admits = true});
    for (const HostPrefix& prefix : deny.prefixes) rules.push_back({.prefix = prefix, .weight = 2, .admits = false});
    std::ranges::sort(rules, {}, [](const Rule& rule) {
        return std::tuple{rule.prefix.first, rule.prefix.bits, rule.weight};
    });
    std::vector<Rule> open;
    const auto begin = [&](const HostAddress& first, bool admits) {
        if (!ranges_.empty() && ranges_.back().first == first) ranges_.pop_back();
        if (ranges_.empty() || ranges_.back().admits != admits) ranges_.push_back({.first = first, .admits = admits});
    };
    const auto end_innermost = [&] {
        const HostAddress last = last_of(open.back().prefix);
        open.pop_back();
        if (!open.empty() && last != last_of(open.back().prefix)) begin(next_of(last), open.back().admits);
    };
    for (const Rule& rule : rules) {
        while (!open.empty() && last_of(open.back().prefix) < rule.prefix.first) end_innermost();
        begin(rule.prefix.first, rule.admits);
        open.push_back(rule);
    }
    while (!open.empty()) end_innermost();
    ranges_.shrink_to_fit();
}

bool AccessTable::admits(const HostAddress& host) const noexcept {
    if (ranges_.empty()) return admits_others_;
    return std::ranges::prev(std::ranges::upper_bound(ranges_, host, {}, &Range::first))->admits;
}

bool AccessTable::admits_user(std::uint32_t user) const noexcept {
    if (holds(denied_users_, user)) return false;
    return admits_others_ || holds(allowed_users_, user);
}

}  // namespace preforkd
