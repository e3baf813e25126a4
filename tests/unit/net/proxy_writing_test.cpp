#include "common/net/proxy_writing.hpp"

#include <gtest/gtest.h>

#include "common/net/proxy_header.hpp"

namespace preforkd {
namespace {

SocketAddress address(const char* text) { return resolve(parse_endpoint(text)).at(0); }

ProxyEnds ends(const char* source, const char* destination) {
    return {.source = address(source), .destination = address(destination)};
}

const ProxyEnds ip4 = ends("tcp://192.0.2.1:56324", "tcp://198.51.100.2:443");
const ProxyEnds ip6 = ends("tcp://[2001:db8::1]:1", "tcp://[::]:65535");

TEST(ProxyWriting, version_1_is_a_line) {
    EXPECT_EQ(write_proxy_header(ProxyVersion::V1, SOCK_STREAM, ip4),
              "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
    EXPECT_EQ(write_proxy_header(ProxyVersion::V1, SOCK_STREAM, ip6), "PROXY TCP6 2001:db8::1 :: 1 65535\r\n");
    EXPECT_EQ(write_proxy_header(ProxyVersion::V1, SOCK_STREAM, {}), "PROXY UNKNOWN\r\n");
}

TEST(ProxyWriting, what_is_written_is_read_back) {
    for (const auto& [version, type] :
         {std::pair{ProxyVersion::V1, SOCK_STREAM}, {ProxyVersion::V2, SOCK_STREAM}, {ProxyVersion::V2, SOCK_DGRAM}}) {
        for (const ProxyEnds& each : {ip4, ip6}) {
            const std::string written = write_proxy_header(version, type, each);
            const auto parsed = parse_proxy_header(written + "text", type);
            const auto* const header = std::get_if<ProxyHeader>(&parsed);
            ASSERT_NE(header, nullptr);
            EXPECT_EQ(header->size_bytes, written.size());
            EXPECT_TRUE(header->announces);
            EXPECT_EQ(header->source, each.source);
            EXPECT_EQ(header->destination, each.destination);
        }
        const auto parsed = parse_proxy_header(write_proxy_header(version, type, {}), type);
        ASSERT_NE(std::get_if<ProxyHeader>(&parsed), nullptr);
        EXPECT_FALSE(std::get<ProxyHeader>(parsed).announces);
    }
}

TEST(ProxyWriting, version_2_names_the_kind_of_its_transport) {
    EXPECT_EQ(write_proxy_header(ProxyVersion::V2, SOCK_STREAM, ip4).substr(12, 4), std::string("\x21\x11\0\x0c", 4));
    EXPECT_EQ(write_proxy_header(ProxyVersion::V2, SOCK_DGRAM, ip6).substr(12, 4), std::string("\x21\x22\0\x24", 4));
    EXPECT_EQ(write_proxy_header(ProxyVersion::V2, SOCK_DGRAM, {}).substr(12), std::string("\x20\0\0\0", 4));
}

}  // namespace
}  // namespace preforkd
