#include "daemon/ctl/import/old_access.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include "common/base/parse_number.hpp"
#include "common/base/take_until.hpp"
#include "common/config/option_values.hpp"

namespace preforkd {
namespace {

constexpr int octets_of_ipv4 = 4;
constexpr int bits_of_octet = 8;

HostPrefix ipv4_prefix(std::uint32_t number, int bits) {
    return {.first = ipv4_host(number), .bits = mapped_bits + bits};
}

/// `128.138.12`, at most three octets and a part behind them.
std::optional<std::vector<std::uint8_t>> read_octets(std::string_view text) {
    std::vector<std::uint8_t> octets;
    while (!text.empty()) {
        const auto octet = parse_number<std::uint8_t>(take_until(text, '.'));
        if (!octet || octets.size() == octets_of_ipv4) return std::nullopt;
        octets.push_back(*octet);
    }
    return octets;
}

std::uint32_t number_of(const std::vector<std::uint8_t>& octets) {
    std::uint32_t number = 0;
    for (std::size_t place = 0; place < octets_of_ipv4; ++place)
        number = number << bits_of_octet | std::uint32_t{place < octets.size() ? octets[place] : std::uint8_t{0}};
    return number;
}

std::vector<HostPrefix> read_factorized(std::string_view text) {
    const std::size_t brace = text.find('{');
    if (!text.ends_with('}') || brace == 0 || text[brace - 1] != '.') return {};
    const auto common = read_octets(text.substr(0, brace - 1));
    if (!common || std::ssize(*common) >= octets_of_ipv4) return {};
    std::vector<HostPrefix> prefixes;
    for (const std::string_view word : split_at_commas(text.substr(brace + 1, text.size() - brace - 2))) {
        const auto last = parse_number<std::uint8_t>(word);
        if (!last) return {};
        std::vector<std::uint8_t> octets = *common;
        octets.push_back(*last);
        prefixes.push_back(ipv4_prefix(number_of(octets), static_cast<int>(octets.size()) * bits_of_octet));
    }
    return prefixes;
}

/// xinetd compares with the bits behind the length cut off.
std::optional<HostPrefix> read_prefix(std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto host = parse_host_prefix(text.substr(0, slash));
    const auto bits = parse_number<int>(text.substr(slash + 1));
    if (!host || !bits) return std::nullopt;
    const bool ipv4 = is_ipv4(host->first);
    if (*bits < 0 || *bits > (ipv4 ? 32 : 128)) return std::nullopt;
    const int all_bits = *bits + (ipv4 ? mapped_bits : 0);
    return HostPrefix{.first = first_of(host->first, all_bits), .bits = all_bits};
}

HostPrefix with_zeros_as_any(const HostPrefix& host) {
    if (host.first == HostAddress{}) return {.first = {}, .bits = 0};
    if (!is_ipv4(host.first)) return host;
    const auto number = static_cast<std::uint32_t>(host.first.low);
    int bits = octets_of_ipv4 * bits_of_octet;
    while (bits > 0 && (number >> (octets_of_ipv4 * bits_of_octet - bits) & 0xff) == 0) bits -= bits_of_octet;
    return ipv4_prefix(number, bits);
}

}  // namespace

std::vector<HostPrefix> read_old_address(const std::string& word, const FindNetwork& find_network) {
    if (word.find('{') != word.npos) return read_factorized(word);
    std::optional<HostPrefix> one;
    if (word.find('/') != word.npos)
        one = read_prefix(word);
    else if (const auto host = parse_host_prefix(word))
        one = with_zeros_as_any(*host);
    else if (word == "localhost")
        return {*parse_host_prefix("127.0.0.1"), *parse_host_prefix("::1")};
    else
        one = find_network(word);
    return one ? std::vector{*one} : std::vector<HostPrefix>{};
}

}  // namespace preforkd
