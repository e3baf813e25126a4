#include "common/base/internet_host.hpp"

#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

#include "common/base/parse_number.hpp"

namespace preforkd {
namespace {

std::optional<HostAddress> parse_host(const std::string& text) {
    in_addr ipv4{};
    if (::inet_pton(AF_INET, text.c_str(), &ipv4) == 1) return ipv4_host(ntohl(ipv4.s_addr));
    in6_addr ipv6{};
    if (::inet_pton(AF_INET6, text.c_str(), &ipv6) == 1) return ipv6_host(ipv6.s6_addr);
    return std::nullopt;
}

/// With whatever bits stand behind the length.
std::optional<HostPrefix> parse_host_and_length(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string address{text.substr(0, slash)};
    if (address.find('\0') != address.npos) return std::nullopt;
    const auto host = parse_host(address);
    if (!host) return std::nullopt;
    if (slash == text.npos) return HostPrefix{.first = *host};
    const int before = address.find(':') == address.npos ? mapped_bits : 0;
    const auto length = parse_number<int>(text.substr(slash + 1));
    if (!length || *length < 0 || *length > 128 - before) return std::nullopt;
    return HostPrefix{.first = *host, .bits = before + *length};
}

bool is_prefix(const HostPrefix& read) { return first_of(read.first, read.bits) == read.first; }

}  // namespace

HostAddress ipv6_host(std::span<const std::uint8_t, 16> bytes) noexcept {
    HostAddress host;
    std::memcpy(&host, bytes.data(), sizeof host);
    return {.high = be64toh(host.high), .low = be64toh(host.low)};
}

std::optional<HostPrefix> parse_host_prefix(std::string_view text) {
    const auto read = parse_host_and_length(text);
    return read && is_prefix(*read) ? read : std::nullopt;
}

std::string why_no_host_prefix(std::string_view text) {
    const auto read = parse_host_and_length(text);
    if (!read || is_prefix(*read)) return "";
    const HostPrefix all{.first = first_of(read->first, read->bits), .bits = read->bits};
    return std::string{text} + " names a host and a network: write " + to_string(all) + ", or " +
           to_string(HostPrefix{.first = read->first}) + " for that host alone";
}

std::string to_string(const HostPrefix& prefix) {
    const bool is_v4 = is_ipv4(prefix.first) && prefix.bits >= mapped_bits;
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (is_v4) {
        const in_addr address{.s_addr = htonl(static_cast<std::uint32_t>(prefix.first.low))};
        ::inet_ntop(AF_INET, &address, text.data(), text.size());
    } else {
        const HostAddress raw{.high = htobe64(prefix.first.high), .low = htobe64(prefix.first.low)};
        ::inet_ntop(AF_INET6, &raw, text.data(), text.size());
    }
    std::string all{text.data()};
    if (prefix.bits != 128) all += '/' + std::to_string(prefix.bits - (is_v4 ? mapped_bits : 0));
    return all;
}

}  // namespace preforkd
