#include "common/net/proxy_header.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace preforkd {
namespace {

using namespace std::string_literals;

std::variant<ProxyHeader, ProxyIncomplete, ProxyInvalid> parse(std::string_view bytes) {
    return parse_proxy_header(bytes, SOCK_STREAM);
}

bool is_invalid(std::string_view bytes) { return std::holds_alternative<ProxyInvalid>(parse(bytes)); }

std::string source_of(const ProxyHeader& header) {
    return header.source.size() == 0 ? "" : to_string(header.source.to_endpoint(SOCK_STREAM));
}

ProxyHeader header_of(std::string_view bytes) {
    const auto parsed = parse(bytes);
    if (const auto* const invalid = std::get_if<ProxyInvalid>(&parsed)) ADD_FAILURE() << invalid->reason;
    if (const auto* const cut = std::get_if<ProxyIncomplete>(&parsed)) ADD_FAILURE() << "wants " << cut->wanted_bytes;
    const auto* const header = std::get_if<ProxyHeader>(&parsed);
    return header != nullptr ? *header : ProxyHeader{};
}

// --- version 1 -------------------------------------------------------------------------------------------------------

TEST(ProxyHeader1, names_both_ends) {
    const std::string line = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
    const ProxyHeader header = header_of(line + "GET /\r\n");
    EXPECT_EQ(header.size_bytes, line.size()) << "the rest is the client's";
    EXPECT_EQ(source_of(header), "tcp://192.0.2.1:56324");
    EXPECT_EQ(to_string(header.destination.to_endpoint(SOCK_STREAM)), "tcp://198.51.100.2:443");
    EXPECT_EQ(source_of(header_of("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n")), "tcp://[2001:db8::1]:65535");
    EXPECT_EQ(source_of(header_of("PROXY TCP6 2001:DB8:0:0:0:0:0:a ::1 1 2\r\n")), "tcp://[2001:db8::a]:1");
}

TEST(ProxyHeader1, what_is_unknown_has_the_addresses_of_the_connection) {
    for (const std::string& line : {"PROXY UNKNOWN\r\n"s, "PROXY UNKNOWN anything  at\tall\r\n"s,
                                    "PROXY UNKNOWN " + std::string(91, 'x') + "\r\n"}) {
        EXPECT_EQ(header_of(line).size_bytes, line.size());
        EXPECT_EQ(source_of(header_of(line)), "");
    }
}

TEST(ProxyHeader1, a_line_may_have_107_bytes_with_its_end) {
    const auto line_of = [](std::size_t size) { return "PROXY UNKNOWN " + std::string(size - 16, 'x') + "\r\n"; };
    EXPECT_EQ(header_of(line_of(107)).size_bytes, 107U);
    EXPECT_TRUE(is_invalid(line_of(108)));
    EXPECT_TRUE(is_invalid(std::string(line_of(108), 0, 107))) << "nobody waits for what cannot come";
}

TEST(ProxyHeader1, each_part_of_a_line_wants_more) {
    const std::string line = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
    for (std::size_t size = 0; size < line.size(); ++size) {
        const auto parsed = parse(line.substr(0, size));
        const auto* const cut = std::get_if<ProxyIncomplete>(&parsed);
        ASSERT_NE(cut, nullptr) << size;
        EXPECT_GT(cut->wanted_bytes, size);
        EXPECT_LE(cut->wanted_bytes, line.size()) << "it must not wait for bytes that may not come";
    }
}

TEST(ProxyHeader1, what_is_not_to_the_letter_is_none) {
    for (const std::string& line : {
             "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"s,
             "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n"s,
             "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rx"s,
             "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n"s,
             "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"s,
             "PROXY\tTCP4 192.0.2.1 192.0.2.2 1 2\r\n"s,
             "PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n"s,
             " PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"s,
             "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"s,
             "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n"s,
             "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n"s,
             "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n"s,
             "PROXY TCP 192.0.2.1 192.0.2.2 1 2\r\n"s,
             "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"s,
             "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"s,
             "PROXY TCP4 192.0.2.1 2001:db8::2 1 2\r\n"s,
             "PROXY TCP6 2001:db8::1 192.0.2.2 1 2\r\n"s,
             "PROXY TCP4 01.2.3.4 192.0.2.2 1 2\r\n"s,
             "PROXY TCP4 1.2.3 192.0.2.2 1 2\r\n"s,
             "PROXY TCP4 256.1.1.1 192.0.2.2 1 2\r\n"s,
             "PROXY TCP4 1.2.3.4. 192.0.2.2 1 2\r\n"s,
             "PROXY TCP4 :::: 1.2 1 2\r\n"s,
             "PROXY TCP6 1::2::3 ::1 1 2\r\n"s,
             "PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n"s,
             "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"s,
             "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"s,
             "PROXY TCP4 192.0.2.1 192.0.2.2 065 2\r\n"s,
             "PROXY TCP4 192.0.2.1 192.0.2.2 1 00\r\n"s,
             "PROXY TCP4 192.0.2.1 192.0.2.2 +80 2\r\n"s,
             "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n"s,
             "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n"s,
             "PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n"s,
             "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n"s,
             "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"s,
             "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"s,
             "PROXY TCP4\r\n"s,
             "PROXY TCP4 \r\n"s,
             "PROXY \r\n"s,
             "PROXY\r\n"s,
             "PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n"s,
             "PROXY UNKNOWNX\r\n"s,
             "PROXY unknown\r\n"s,
             "PROXY / HTTP/1.1\r\n"s,
             "GET / HTTP/1.1\r\n"s,
             "PROXYTCP4"s,
         })
        EXPECT_TRUE(is_invalid(line)) << line;
}

TEST(ProxyHeader1, what_begins_as_none_is_none_with_its_first_byte) {
    EXPECT_TRUE(is_invalid("G"));
    EXPECT_TRUE(is_invalid("PROXX"));
    EXPECT_TRUE(is_invalid("\r\nx"));
}

// --- version 2 -------------------------------------------------------------------------------------------------------

const std::string signature = "\r\n\r\n\0\r\nQUIT\n"s;
const std::string ip4_block = "\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb"s;  // 192.0.2.1:56324 to 198.51.100.2:443
const std::string ip6_block =
    "\x20\1\x0d\xb8"s + std::string(11, '\0') + "\1" + std::string(15, '\0') + "\1\0\x50\1\xbb"s;

std::string packed(std::size_t number) {
    return {static_cast<char>(number >> 8 & 0xff), static_cast<char>(number & 0xff)};
}

std::string version_2(int command, int family, const std::string& rest) {
    return signature + static_cast<char>(0x20 | command) + static_cast<char>(family) + packed(rest.size()) + rest;
}

std::string tlv(int type, const std::string& value) { return static_cast<char>(type) + packed(value.size()) + value; }

TEST(ProxyHeader2, names_both_ends_of_every_family) {
    const std::string whole = version_2(1, 0x11, ip4_block);
    const ProxyHeader header = header_of(whole + "payload");
    EXPECT_EQ(header.size_bytes, whole.size());
    EXPECT_EQ(source_of(header), "tcp://192.0.2.1:56324");
    EXPECT_EQ(to_string(header.destination.to_endpoint(SOCK_STREAM)), "tcp://198.51.100.2:443");
    EXPECT_EQ(source_of(header_of(version_2(1, 0x21, ip6_block))), "tcp://[2001:db8::1]:80");
    const auto paths = [](std::string source, std::string destination) {
        source.resize(108), destination.resize(108);
        return source + destination;
    };
    EXPECT_EQ(source_of(header_of(version_2(1, 0x31, paths("/run/client", "/run/server")))), "unix:///run/client");
    EXPECT_EQ(source_of(header_of(version_2(1, 0x31, paths("\0client"s, "/run/server")))), "unix://@client");
    EXPECT_EQ(header_of(version_2(1, 0x31, paths(std::string(108, 'x'), "/x"))).source.size(), 110U)
        << "a path may fill its field, and has no end then";
    const ProxyHeader unnamed = header_of(version_2(1, 0x31, paths("", "/run/server")));
    EXPECT_TRUE(unnamed.announces) << "clients of Unix sockets seldom have a name";
    EXPECT_EQ(source_of(unnamed), "unix://unnamed");
}

TEST(ProxyHeader2, a_datagram_has_its_own_protocol_and_is_whole) {
    const auto datagram = [](const std::string& bytes) { return parse_proxy_header(bytes, SOCK_DGRAM); };
    EXPECT_TRUE(std::holds_alternative<ProxyHeader>(datagram(version_2(1, 0x12, ip4_block))));
    EXPECT_TRUE(std::holds_alternative<ProxyInvalid>(datagram(version_2(1, 0x11, ip4_block))));
    EXPECT_TRUE(is_invalid(version_2(1, 0x12, ip4_block)));
    EXPECT_TRUE(std::holds_alternative<ProxyInvalid>(datagram(version_2(1, 0x12, ip4_block).substr(0, 20))));
    EXPECT_TRUE(std::holds_alternative<ProxyInvalid>(datagram(signature)));
    EXPECT_TRUE(std::holds_alternative<ProxyInvalid>(datagram("")));
    for (const char* const line : {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY UNKNOWN\r\n"})
        EXPECT_TRUE(std::holds_alternative<ProxyInvalid>(datagram(line))) << "version 1 has none for datagrams";
}

/// Else whoever may check the health of a service may pretend to be anybody.
TEST(ProxyHeader2, what_a_balancer_says_for_itself_has_the_addresses_of_the_connection) {
    for (const int family : {0x00, 0x11, 0x12, 0x21, 0x31, 0x01, 0x10, 0x41, 0xff}) {
        for (const std::string& block : {""s, ip4_block, ip6_block, "garbage"s}) {
            const std::string whole = version_2(0, family, block);
            EXPECT_EQ(header_of(whole).size_bytes, whole.size());
            EXPECT_EQ(source_of(header_of(whole)), "") << family;
        }
    }
}

TEST(ProxyHeader2, what_is_unspecified_has_the_addresses_of_the_connection) {
    for (const int family : {0x00, 0x01, 0x02}) {
        EXPECT_EQ(source_of(header_of(version_2(1, family, "garbage"))), "");
        EXPECT_EQ(header_of(version_2(1, family, "garbage")).size_bytes, 16U + 7U);
    }
    EXPECT_EQ(source_of(header_of(version_2(1, 0x10, ip4_block))), "");
}

TEST(ProxyHeader2, each_part_of_it_wants_more) {
    const std::string whole = version_2(1, 0x21, ip6_block + tlv(4, "no operation"));
    for (std::size_t size = 1; size < whole.size(); ++size) {
        const auto parsed = parse(whole.substr(0, size));
        const auto* const cut = std::get_if<ProxyIncomplete>(&parsed);
        ASSERT_NE(cut, nullptr) << size;
        EXPECT_EQ(cut->wanted_bytes, size < 16 ? 16 : whole.size()) << size;
    }
}

TEST(ProxyHeader2, what_is_not_to_the_letter_is_none) {
    for (std::size_t flipped = 0; flipped < signature.size(); ++flipped) {
        std::string whole = version_2(1, 0x11, ip4_block);
        whole[flipped] ^= 1;
        EXPECT_TRUE(is_invalid(whole)) << flipped;
        EXPECT_TRUE(is_invalid(whole.substr(0, flipped + 1))) << "and with that byte";
    }
    for (const int version : {0, 1, 3, 15}) {
        std::string whole = version_2(1, 0x11, ip4_block);
        whole[12] = static_cast<char>(version << 4 | 1);
        EXPECT_TRUE(is_invalid(whole.substr(0, 13))) << version;
    }
    for (int command = 2; command < 16; ++command) EXPECT_TRUE(is_invalid(version_2(command, 0x11, ip4_block)));
    for (int family = 4; family < 16; ++family) EXPECT_TRUE(is_invalid(version_2(1, family << 4 | 1, ip6_block)));
    for (int protocol = 3; protocol < 16; ++protocol) EXPECT_TRUE(is_invalid(version_2(1, 0x10 | protocol, ip4_block)));
    EXPECT_TRUE(is_invalid(version_2(1, 0x11, ip4_block.substr(1))));
    EXPECT_TRUE(is_invalid(version_2(1, 0x21, ip6_block.substr(1))));
    EXPECT_TRUE(is_invalid(version_2(1, 0x31, std::string(215, 'x'))));
    EXPECT_TRUE(is_invalid(version_2(1, 0x11, "")));
    EXPECT_TRUE(is_invalid(version_2(1, 0x11, std::string(65535, 'x')).substr(0, 16))) << "before its body comes";
}

TEST(ProxyHeader2, says_more_in_tlvs) {
    const std::string tls = tlv(0x20, "\x05\0\0\0\0"s + tlv(0x21, "TLSv1.3") + tlv(0x22, "client") + tlv(0x23, "AES") +
                                          tlv(0x28, "a certificate"));
    const ProxyHeader header =
        header_of(version_2(1, 0x11,
                            ip4_block + tlv(1, "h2") + tlv(2, "example.com") + tlv(5, std::string(128, 'u')) + tls +
                                tlv(4, "") + tlv(0x30, "blue") + tlv(0xe0, "mine") + tlv(0x7f, "?")));
    EXPECT_EQ(header.said.alpn, "h2");
    EXPECT_EQ(header.said.authority, "example.com");
    EXPECT_EQ(header.said.unique_id, std::string(128, 'u'));
    EXPECT_EQ(header.said.tls, (AnnouncedTls{.version = "TLSv1.3",
                                             .cipher = "AES",
                                             .common_name = "client",
                                             .has_certificate = true,
                                             .verified = true}));
}

TEST(ProxyHeader2, a_client_without_a_certificate_or_with_a_bad_one_is_not_verified) {
    EXPECT_FALSE(header_of(version_2(1, 0x11, ip4_block + tlv(0x20, "\1\0\0\0\0"s))).said.tls->verified);
    EXPECT_FALSE(header_of(version_2(1, 0x11, ip4_block + tlv(0x20, "\0\0\0\0\1"s))).said.tls) << "speaks no TLS";
    EXPECT_FALSE(header_of(version_2(1, 0x11, ip4_block + tlv(0x20, "\7\0\0\0\1"s))).said.tls->verified);
}

TEST(ProxyHeader2, a_tlv_ends_where_it_should) {
    for (const std::string& bad :
         {"\1"s, "\1\0"s, "\1\0\1"s, "\1\1\0value"s, tlv(5, std::string(129, 'u')), tlv(2, std::string(256, 'a')),
          tlv(0x20, "\1\0\0\0"s), tlv(0x20, "\1\0\0\0\0\x21\0\7TLSv1"s), tlv(0x20, "\1\0\0\0\0\x21"s)})
        EXPECT_TRUE(is_invalid(version_2(1, 0x11, ip4_block + bad)));
}

TEST(ProxyHeader2, a_checksum_is_checked) {
    const std::string summed = signature + "\x21\x11\0\x13"s + ip4_block + "\3\0\4\x20\xec\x95\x49"s;
    EXPECT_EQ(source_of(header_of(summed)), "tcp://192.0.2.1:56324");
    for (std::size_t flipped = 16; flipped < summed.size(); ++flipped) {
        if (flipped == 28) continue;  // another type
        std::string whole = summed;
        whole[flipped] ^= 1;
        EXPECT_TRUE(is_invalid(whole)) << flipped;
    }
    EXPECT_TRUE(is_invalid(version_2(1, 0x11, ip4_block + tlv(3, "123"))));
    EXPECT_TRUE(is_invalid(version_2(1, 0x11, ip4_block + tlv(3, "12345"))));
}

}  // namespace
}  // namespace preforkd
