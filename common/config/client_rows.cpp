// Who may be a client of an endpoint, how many, and what is said of them: allow=, per-source=, proxy= and the others.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <array>
#include <vector>

#include "common/base/parse_number.hpp"
#include "common/base/units.hpp"
#include "common/config/command_words.hpp"
#include "common/config/listen_rows.hpp"
#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

constexpr NumberRange per_source_range{.min = 1, .max = 65'534};  // what the table of sources can count
constexpr NumberRange max_range{.min = 1, .max = most_connections};

ProxySenders read_senders(std::string_view text) {
    ProxySenders senders;
    if (text == "unix") return {.local = true};
    for (const std::string_view word : split_at_commas(text)) {
        const auto prefix = parse_host_prefix(word);
        if (!prefix) refuse_prefix(word, "addresses or prefixes such as 192.0.2.1,2001:db8::/32, or unix", text);
        senders.prefixes.push_back(*prefix);
    }
    return senders;
}

std::string print_senders(const ProxySenders& senders) {
    if (senders.local) return "unix";
    std::vector<std::string> prefixes;
    for (const HostPrefix& prefix : senders.prefixes) prefixes.push_back(to_string(prefix));
    return fmt::format("{}", fmt::join(prefixes, ","));
}

SourcePrefix read_source_prefix(std::string_view text) {
    const std::size_t colon = text.find(':');
    const auto ipv4 = parse_number<int>(text.substr(0, colon));
    const auto ipv6 = colon == text.npos ? std::nullopt : parse_number<int>(text.substr(colon + 1));
    if (!ipv4 || !ipv6 || *ipv4 < 1 || *ipv4 > 32 || *ipv6 < 1 || *ipv6 > 128)
        refuse_value("the bits of IPv4 and of IPv6 addresses that make a source, such as 32:64", text);
    return {.ipv4_bits = *ipv4, .ipv6_bits = *ipv6};
}

std::string read_refusal(std::string_view text) {
    constexpr std::size_t longest = 512;  // which a socket takes at once
    std::string plain = percent_decoded(text);
    if (plain.empty() || plain.size() > longest) refuse_value("a text of 1 to 512 bytes", text);
    return plain;
}

std::optional<std::string> unless_unset(const std::optional<std::uint32_t>& number) {
    return number ? std::optional{std::to_string(*number)} : std::nullopt;
}

constexpr std::array<ListenRow, 10> rows_of_clients{{
    {{"allow", "CIDR,...|UID,...", "all", "who alone may be a client; @FILE names more (default all)"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.allow = parse_access_list(text); },
     [](const ListenSettings& s) { return unless_empty(to_string(s.allow)); }},
    {{"deny", "CIDR,...|UID,...", "all", "who may not; the longest prefix decides"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.deny = parse_access_list(text); },
     [](const ListenSettings& s) { return unless_empty(to_string(s.deny)); }},
    {{"per-source", "N", "all", "clients of one source at once, over all workers; more are refused"},
     any_transport,
     [](ListenSettings& s, std::string_view text) {
         s.limits.per_source = static_cast<std::uint32_t>(read_number(text, per_source_range));
     },
     [](const ListenSettings& s) { return unless_unset(s.limits.per_source); }},
    {{"rate", "N/s|off", "all", "new clients of one source, over all workers; more are refused"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.limits.rate = read_rate(text); },
     [](const ListenSettings& s) { return s.limits.rate ? std::optional{print_rate(*s.limits.rate)} : std::nullopt; }},
    {{"source-prefix", "BITS:BITS", "all", "how much of an IPv4 and an IPv6 address makes a source (default 32:64)"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.limits.source_prefix = read_source_prefix(text); },
     [](const ListenSettings& s) -> std::optional<std::string> {
         if (!s.limits.source_prefix) return std::nullopt;
         return fmt::format("{}:{}", s.limits.source_prefix->ipv4_bits, s.limits.source_prefix->ipv6_bits);
     }},
    {{"max", "N", "all", "clients at once, over all workers; more wait in the queue"},
     any_transport,
     [](ListenSettings& s, std::string_view text) {
         s.limits.max = static_cast<std::uint32_t>(read_number(text, max_range));
     },
     [](const ListenSettings& s) { return unless_unset(s.limits.max); }},
    {{"refuse-with", "TEXT", "tcp, unix, fd",
      "a line for those who are refused, %20 for a blank (default none, a reset)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { s.limits.refuse_with = read_refusal(text); },
     [](const ListenSettings& s) { return unless_empty(percent_encoded(s.limits.refuse_with)); }},
    {{"proxy", "CIDR,...|unix", "all", "who has to announce its clients with the PROXY protocol (default nobody)"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.proxy = read_senders(text); },
     [](const ListenSettings& s) { return s.proxy ? std::optional{print_senders(*s.proxy)} : std::nullopt; }},
    {{"proxy-timeout", "TIME", "tcp, unix, fd", "how long that may take (default 3s)"},
     may_be_stream,
     [](ListenSettings& s, std::string_view text) { s.proxy_timeout = read_patience(text, "3s"); },
     [](const ListenSettings& s) {
         return s.proxy_timeout ? std::optional{to_string(*s.proxy_timeout)} : std::nullopt;
     }},
    {{"log-connections", "begin|end|both|no", "all",
      "which lines there are of its clients, instead of --log-connections"},
     any_transport,
     [](ListenSettings& s, std::string_view text) { s.log_connections = read_log_connections(text); },
     [](const ListenSettings& s) {
         return s.log_connections ? std::optional{print_log_connections(*s.log_connections)} : std::nullopt;
     }},
}};

}  // namespace

std::span<const ListenRow> client_rows() noexcept { return rows_of_clients; }

}  // namespace preforkd
