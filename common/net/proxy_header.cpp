#include "common/net/proxy_header.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <boost/crc.hpp>
#include <cstddef>
#include <cstring>
#include <utility>

#include "common/base/parse_number.hpp"
#include "common/base/take_until.hpp"

namespace preforkd {
namespace {

using Parsed = std::variant<ProxyHeader, ProxyIncomplete, ProxyInvalid>;

constexpr std::string_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};

template <class Address>
SocketAddress ip_address(Address address) {
    return {reinterpret_cast<const sockaddr*>(&address), sizeof address};
}

SocketAddress address_4(std::string_view host, std::size_t port) {
    sockaddr_in address{
        .sin_family = AF_INET, .sin_port = htons(static_cast<std::uint16_t>(port)), .sin_addr = {}, .sin_zero = {}};
    std::memcpy(&address.sin_addr, host.data(), sizeof address.sin_addr);
    return ip_address(address);
}

SocketAddress address_6(std::string_view host, std::size_t port) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(static_cast<std::uint16_t>(port));
    std::memcpy(&address.sin6_addr, host.data(), sizeof address.sin6_addr);
    return ip_address(address);
}

// --- version 1 -------------------------------------------------------------------------------------------------------

constexpr std::size_t longest_line_bytes = 107;  // with its end
constexpr std::string_view line_end = "\r\n";

/// As the specification writes it: decimal, without a sign and without zeros that say nothing.
std::optional<std::uint16_t> port_of(std::string_view text) {
    return text.size() > 1 && text.front() == '0' ? std::nullopt : parse_number<std::uint16_t>(text);
}

/// inet_pton(3) takes neither leading zeros nor zones; the mixed form (::ffff:192.0.2.1) is in no sender's grammar.
std::optional<SocketAddress> address_of(int family, std::string_view host, std::string_view port_text) {
    const std::optional<std::uint16_t> port = port_of(port_text);
    const bool mixed = family == AF_INET6 && host.find('.') != host.npos;
    std::array<char, sizeof(in6_addr)> raw{};
    if (!port || mixed || host.find('\0') != host.npos ||
        ::inet_pton(family, std::string{host}.c_str(), raw.data()) != 1)
        return std::nullopt;
    const std::string_view bytes{raw.data(), raw.size()};
    return family == AF_INET ? address_4(bytes, *port) : address_6(bytes, *port);
}

Parsed parse_line(std::string_view line, std::size_t size_bytes) {
    ProxyHeader header{.size_bytes = size_bytes};
    line.remove_prefix(std::string_view{"PROXY "}.size());
    const bool has_more = line.find(' ') != line.npos;
    const std::string_view protocol = take_until(line, ' ');
    if (protocol == "UNKNOWN") return header;
    if (protocol != "TCP4" && protocol != "TCP6") return ProxyInvalid{"its protocol is none of TCP4, TCP6, UNKNOWN"};
    if (!has_more || std::ranges::count(line, ' ') != 3) return ProxyInvalid{"it does not have four fields"};
    const int family = protocol == "TCP4" ? AF_INET : AF_INET6;
    const std::string_view source = take_until(line, ' ');
    const std::string_view destination = take_until(line, ' ');
    const std::string_view source_port = take_until(line, ' ');
    const auto from = address_of(family, source, source_port);
    const auto to = address_of(family, destination, line);
    if (!from || !to) return ProxyInvalid{"an address or a port is not one of its protocol"};
    header.announces = true;
    header.source = *from;
    header.destination = *to;
    return header;
}

Parsed parse_version_1(std::string_view bytes) {
    constexpr std::string_view begin = "PROXY ";
    constexpr std::size_t shortest = 15;
    if (begin.substr(0, bytes.size()) != bytes.substr(0, begin.size())) return ProxyInvalid{"it begins as none"};
    const std::string_view possible = bytes.substr(0, longest_line_bytes);
    const std::size_t end = possible.find_first_of(line_end);
    if (end == possible.npos && possible.size() == longest_line_bytes) return ProxyInvalid{"its line does not end"};
    if (end == possible.npos || (end + 1 == possible.size() && possible[end] == '\r')) {
        if (possible.size() == longest_line_bytes) return ProxyInvalid{"its line does not end"};
        return ProxyIncomplete{std::max(shortest, possible.size() + 1)};
    }
    if (possible.substr(end, line_end.size()) != line_end) return ProxyInvalid{"its line ends without CR and LF"};
    return parse_line(possible.substr(0, end), end + line_end.size());
}

// --- version 2 -------------------------------------------------------------------------------------------------------

constexpr std::size_t fixed_bytes = 16;

std::size_t number_at(std::string_view bytes, std::size_t offset) {
    return std::size_t{static_cast<unsigned char>(bytes[offset])} << 8 | static_cast<unsigned char>(bytes[offset + 1]);
}

enum class Type : unsigned char {
    Alpn = 0x01,
    Authority = 0x02,
    Checksum = 0x03,
    UniqueId = 0x05,
    Tls = 0x20,
    TlsVersion = 0x21,
    TlsCommonName = 0x22,
    TlsCipher = 0x23,
};

struct Tlv {
    Type type{};
    std::string_view value{};
};

/// Its next one, which is taken from `area`; nullopt: it does not end where the area ends.
std::optional<Tlv> take_tlv(std::string_view& area) {
    constexpr std::size_t head_bytes = 3;
    if (area.size() < head_bytes || area.size() - head_bytes < number_at(area, 1)) return {};
    const Tlv tlv{.type = static_cast<Type>(area[0]), .value = area.substr(head_bytes, number_at(area, 1))};
    area.remove_prefix(head_bytes + tlv.value.size());
    return tlv;
}

/// False: it is cut.  `tls` stays empty where the client does not speak it.
bool read_tls(std::string_view value, std::optional<AnnouncedTls>& tls) {
    constexpr std::size_t head_bytes = 5;
    constexpr unsigned over_tls = 0x01;
    constexpr unsigned certificate = 0x02 | 0x04;  // in this connection, in its session
    if (value.size() < head_bytes) return false;
    const auto client = static_cast<unsigned char>(value[0]);
    AnnouncedTls said{.has_certificate = (client & certificate) != 0};
    said.verified = said.has_certificate && value.substr(1, 4) == std::string_view{"\0\0\0\0", 4};
    for (value.remove_prefix(head_bytes); !value.empty();) {
        const auto tlv = take_tlv(value);
        if (!tlv) return false;
        if (tlv->type == Type::TlsVersion) said.version = tlv->value;
        if (tlv->type == Type::TlsCommonName) said.common_name = tlv->value;
        if (tlv->type == Type::TlsCipher) said.cipher = tlv->value;
    }
    if ((client & over_tls) != 0) tls = std::move(said);
    return true;
}

/// Over the whole header, with zeros where it stands itself.  Source: the specification, 2.2.3; RFC 9260, Appendix A.
bool is_checksum(std::string_view value, std::string_view header) {
    constexpr std::size_t size = 4;
    if (value.size() != size) return false;
    constexpr std::array<char, size> zeros{};
    const auto before = static_cast<std::size_t>(value.data() - header.data());
    boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> sum;
    sum.process_bytes(header.data(), before);
    sum.process_bytes(zeros.data(), size);
    sum.process_bytes(header.data() + before + size, header.size() - before - size);
    return sum.checksum() == (number_at(value, 0) << 16 | number_at(value, 2));
}

/// nullptr: all are as they should be.
const char* read_tlvs(std::string_view area, std::string_view whole, ProxyHeader& header) {
    constexpr std::size_t longest_authority = 255;
    constexpr std::size_t longest_unique_id = 128;
    bool summed = false;
    while (!area.empty()) {
        const auto tlv = take_tlv(area);
        if (!tlv) return "a TLV is longer than what is left";
        switch (tlv->type) {
            case Type::Alpn: header.said.alpn = tlv->value; break;
            case Type::Authority:
                if (tlv->value.size() > longest_authority) return "its authority is longer than 255 bytes";
                header.said.authority = tlv->value;
                break;
            case Type::Checksum:
                if (std::exchange(summed, true)) return "it has two checksums";
                if (!is_checksum(tlv->value, whole)) return "its checksum is wrong";
                break;
            case Type::UniqueId:
                if (tlv->value.size() > longest_unique_id) return "its unique id is longer than 128 bytes";
                header.said.unique_id = tlv->value;
                break;
            case Type::Tls:
                if (!read_tls(tlv->value, header.said.tls)) return "what it says of TLS is cut";
                break;
            default: break;  // may say anything, or be invented later
        }
    }
    return nullptr;
}

/// 108 bytes: a path up to the first zero, if there is one; with a leading zero an abstract name, as long.
SocketAddress unix_address(std::string_view path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::size_t from = path[0] == '\0' ? 1 : 0;
    const std::size_t length = std::min(path.find('\0', from), path.size());
    const bool has_name = length != from;
    if (has_name) std::memcpy(address.sun_path, path.data(), length);
    return {reinterpret_cast<const sockaddr*>(&address),
            static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + (has_name ? length : 0))};
}

Parsed parse_version_2(std::string_view bytes, int socket_type) {
    constexpr unsigned version_2 = 2;
    constexpr unsigned local = 0;
    constexpr unsigned proxied = 1;
    if (signature.substr(0, bytes.size()) != bytes.substr(0, signature.size()))
        return ProxyInvalid{"it begins as none"};
    if (bytes.size() > 12) {
        const auto version_and_command = static_cast<unsigned char>(bytes[12]);
        if (version_and_command >> 4 != version_2) return ProxyInvalid{"its version is not 2"};
        if ((version_and_command & 0xf) > proxied) return ProxyInvalid{"its command is neither LOCAL nor PROXY"};
    }
    if (bytes.size() > 13 && (static_cast<unsigned char>(bytes[12]) & 0xf) != local) {
        const auto family_and_protocol = static_cast<unsigned char>(bytes[13]);
        if (family_and_protocol >> 4 > 3) return ProxyInvalid{"its address family is not known"};
        if ((family_and_protocol & 0xf) > 2) return ProxyInvalid{"its transport protocol is not known"};
    }
    if (bytes.size() < fixed_bytes) return ProxyIncomplete{fixed_bytes};
    const std::size_t size = fixed_bytes + number_at(bytes, 14);
    if (size > longest_proxy_header_bytes) return ProxyInvalid{"it is longer than 4096 bytes"};
    if (bytes.size() < size) return ProxyIncomplete{size};

    const unsigned command = static_cast<unsigned char>(bytes[12]) & 0xf;
    const unsigned family = static_cast<unsigned char>(bytes[13]) >> 4;
    const unsigned protocol = static_cast<unsigned char>(bytes[13]) & 0xf;
    const std::string_view whole = bytes.substr(0, size);
    std::string_view rest = whole.substr(fixed_bytes);
    ProxyHeader header{.size_bytes = size};
    // Whatever its address block says: that it is the sender's own connection, and an address there would be forged.
    if (command == local) return header;
    const bool named = header.announces = family != 0 && protocol != 0;
    constexpr std::array<std::size_t, 4> block_bytes{0, 12, 36, 216};
    const std::size_t block = block_bytes[family];
    if (rest.size() < block) return ProxyInvalid{"it is shorter than its addresses"};
    if (named && (protocol == 1) != (socket_type == SOCK_STREAM))
        return ProxyInvalid{"its transport protocol is not that of its listener"};
    if (named && family == 1) {
        header.source = address_4(rest.substr(0, 4), number_at(rest, 8));
        header.destination = address_4(rest.substr(4, 4), number_at(rest, 10));
    } else if (named && family == 2) {
        header.source = address_6(rest.substr(0, 16), number_at(rest, 32));
        header.destination = address_6(rest.substr(16, 16), number_at(rest, 34));
    } else if (named) {
        header.source = unix_address(rest.substr(0, 108));
        header.destination = unix_address(rest.substr(108, 108));
    }
    if (family == 0) return header;  // its block may be anything, so that nobody knows where TLVs begin
    rest.remove_prefix(block);
    if (const char* const reason = read_tlvs(rest, whole, header)) return ProxyInvalid{reason};
    return header;
}

}  // namespace

Parsed parse_proxy_header(std::string_view bytes, int socket_type) {
    const bool binary = !bytes.empty() && bytes[0] == signature[0];
    if (!binary && socket_type != SOCK_STREAM)
        return ProxyInvalid{"it begins as none of version 2, as a datagram's has to"};
    const Parsed parsed = binary ? parse_version_2(bytes, socket_type) : parse_version_1(bytes);
    if (socket_type != SOCK_STREAM && std::holds_alternative<ProxyIncomplete>(parsed))
        return ProxyInvalid{"it is cut, and a datagram is whole"};
    return parsed;
}

}  // namespace preforkd
