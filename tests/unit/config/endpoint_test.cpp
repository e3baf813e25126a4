#include "preforkd/endpoint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "common/base/quoted.hpp"

namespace preforkd {
namespace {

using testing::HasSubstr;

/// The sentence with which `text` is refused; empty if it is not.
std::string endpoint_refusal(std::string_view text) {
    try {
        static_cast<void>(parse_endpoint(text));
        return {};
    } catch (const std::invalid_argument& error) {
        EXPECT_TRUE(is_printable(error.what())) << in_quotes(error.what());
        EXPECT_LT(std::string_view{error.what()}.size(), 500u);
        return error.what();
    }
}

TEST(Endpoint, tcp_and_udp_have_a_host_and_a_port) {
    EXPECT_EQ(parse_endpoint("tcp://127.0.0.1:80"),
              (Endpoint{.transport = Transport::Tcp, .host = "127.0.0.1", .port = 80}));
    EXPECT_EQ(parse_endpoint("udp://localhost:7"),
              (Endpoint{.transport = Transport::Udp, .host = "localhost", .port = 7}));
    EXPECT_EQ(parse_endpoint("tcp://my_host-1.example.org.:65535").host, "my_host-1.example.org.");
}

TEST(Endpoint, an_empty_host_is_all_addresses) {
    EXPECT_EQ(parse_endpoint("tcp://:10000"), (Endpoint{.transport = Transport::Tcp, .port = 10000}));
    EXPECT_EQ(parse_endpoint("udp://:0"), (Endpoint{.transport = Transport::Udp}));
}

TEST(Endpoint, a_port_alone_is_short_for_tcp) { EXPECT_EQ(parse_endpoint(":10000"), parse_endpoint("tcp://:10000")); }

TEST(Endpoint, an_ipv6_address_stands_in_brackets) {
    EXPECT_EQ(parse_endpoint("tcp://[::1]:80"), (Endpoint{.transport = Transport::Tcp, .host = "::1", .port = 80}));
    EXPECT_EQ(parse_endpoint("tcp://[::]:80").host, "::");
    EXPECT_EQ(parse_endpoint("tcp://[fe80::1%eth0.1]:80").host, "fe80::1%eth0.1");
    EXPECT_EQ(parse_endpoint("tcp://[::ffff:1.2.3.4]:80").host, "::ffff:1.2.3.4");
}

TEST(Endpoint, unix_sockets_have_a_path_or_an_abstract_name) {
    EXPECT_EQ(parse_endpoint("unix:///run/x.sock"), (Endpoint{.transport = Transport::Unix, .path = "/run/x.sock"}));
    EXPECT_EQ(parse_endpoint("unix://@x"), (Endpoint{.transport = Transport::Unix, .path = "x", .abstract = true}));
    EXPECT_EQ(parse_endpoint("unixgram:///run/x"), (Endpoint{.transport = Transport::UnixDatagram, .path = "/run/x"}));
    EXPECT_EQ(parse_endpoint("unixgram://@x").abstract, true);
}

TEST(Endpoint, a_passed_socket_has_a_name) {
    EXPECT_EQ(parse_endpoint("fd://web.socket"), (Endpoint{.transport = Transport::Passed, .path = "web.socket"}));
}

TEST(Endpoint, only_ports_from_0_to_65535_exist) {
    EXPECT_EQ(parse_endpoint("tcp://:0").port, 0);
    EXPECT_EQ(parse_endpoint("tcp://:65535").port, 65535);
    for (const char* text :
         {"tcp://:65536", "tcp://:70000", "tcp://:-1", "tcp://:+1", "tcp://:http", "tcp://: 80", "tcp://:80 ",
          "tcp://:0x50", "tcp://:80/", "tcp://:4294967376", "tcp://:", ":", "tcp://h:99999999999999999999"})
        EXPECT_THAT(endpoint_refusal(text), HasSubstr("from 0 to 65535")) << text;
}

TEST(Endpoint, a_missing_port_is_named) {
    EXPECT_THAT(endpoint_refusal("tcp://localhost"), HasSubstr("has no port"));
    EXPECT_THAT(endpoint_refusal("tcp://"), HasSubstr("has no port"));
    EXPECT_THAT(endpoint_refusal("tcp://[::1]"), HasSubstr("has no port"));
}

TEST(Endpoint, a_missing_scheme_is_answered_with_the_whole_endpoint) {
    EXPECT_THAT(endpoint_refusal("localhost:80"), HasSubstr("write tcp://localhost:80"));
    EXPECT_THAT(endpoint_refusal("[::1]:80"), HasSubstr("write tcp://[::1]:80"));
    EXPECT_THAT(endpoint_refusal("/run/x"), HasSubstr("write unix:///run/x"));
    EXPECT_THAT(endpoint_refusal("@x"), HasSubstr("write unix://@x"));
    EXPECT_THAT(endpoint_refusal("80"), HasSubstr("write tcp://:80"));
    EXPECT_THAT(endpoint_refusal("tcp:localhost:80"), HasSubstr("write tcp://localhost:80"));
    EXPECT_THAT(endpoint_refusal("unix:/run/x"), HasSubstr("write unix:///run/x"));
    EXPECT_THAT(endpoint_refusal("what is this"), HasSubstr("expected tcp://HOST:PORT"));
}

TEST(Endpoint, an_unknown_scheme_is_answered_with_those_that_exist) {
    for (const char* text : {"ftp://x:1", "TCP://x:1", "://x:1", "tcp6://:1", " tcp://:1"})
        EXPECT_THAT(endpoint_refusal(text), AllOf(HasSubstr("unknown scheme"), HasSubstr("unixgram:///PATH"))) << text;
}

TEST(Endpoint, a_star_is_no_host) {
    EXPECT_THAT(endpoint_refusal("tcp://*:80"), AllOf(HasSubstr("empty host"), HasSubstr("tcp://:80")));
    EXPECT_THAT(endpoint_refusal("udp://*:80"), HasSubstr("udp://:80"));
}

TEST(Endpoint, an_ipv6_address_without_brackets_is_refused) {
    EXPECT_THAT(endpoint_refusal("tcp://::1:80"), HasSubstr("tcp://[::1]:80"));
    EXPECT_THAT(endpoint_refusal("tcp://fe80::1:80"), HasSubstr("tcp://[fe80::1]:80"));
    EXPECT_THAT(endpoint_refusal("tcp://a:b:80"), HasSubstr("brackets"));
}

TEST(Endpoint, brackets_hold_an_ipv6_address_and_nothing_else) {
    for (const char* text :
         {"tcp://[]:80", "tcp://[localhost]:80", "tcp://[127.0.0.1]:80", "tcp://[::1:80", "tcp://[::1]80",
          "tcp://[::1]x:80", "tcp://[::1]:80:90", "tcp://[::1%]:80", "tcp://[::1%a/b]:80", "tcp://x[::1]:80"})
        EXPECT_NE(endpoint_refusal(text), "") << text;
}

TEST(Endpoint, a_number_that_is_no_ipv4_address_is_no_host) {
    for (const char* text :
         {"tcp://256.0.0.1:80", "tcp://1.2.3:80", "tcp://1.2.3.4.5:80", "tcp://010.0.0.1:80", "tcp://10000:80",
          "tcp://1.2.3.:80", "tcp://.:80", "tcp://1..2.3:80", "tcp://0000.0.0.0:80"})
        EXPECT_THAT(endpoint_refusal(text), HasSubstr("not an IPv4 address")) << text;
    EXPECT_EQ(endpoint_refusal("tcp://0.0.0.0:80"), "");
    EXPECT_EQ(endpoint_refusal("tcp://255.255.255.255:80"), "");
}

TEST(Endpoint, a_host_is_a_name) {
    for (const char* text : {"tcp://a b:80", "tcp://user@host:80", "tcp://a/b:80", "tcp://a%eth0:80",
                             "tcp://h\xc3\xbc:80", "tcp://$(x):80"})
        EXPECT_THAT(endpoint_refusal(text), HasSubstr("neither a name nor an address")) << text;
    EXPECT_EQ(endpoint_refusal("tcp://" + std::string(253, 'a') + ":80"), "");
    EXPECT_THAT(endpoint_refusal("tcp://" + std::string(254, 'a') + ":80"), HasSubstr("at most 253"));
}

TEST(Endpoint, a_unix_path_is_absolute_and_fits_the_kernel) {
    EXPECT_THAT(endpoint_refusal("unix://run/x"), HasSubstr("not absolute"));
    EXPECT_THAT(endpoint_refusal("unixgram://x"), HasSubstr("unixgram:///PATH"));
    EXPECT_THAT(endpoint_refusal("unix://"), HasSubstr("no name"));
    EXPECT_THAT(endpoint_refusal("unix://@"), HasSubstr("no name"));
    EXPECT_THAT(endpoint_refusal("unix:///run/"), HasSubstr("names a directory"));
    EXPECT_THAT(endpoint_refusal("unix:///"), HasSubstr("names a directory"));
    EXPECT_EQ(endpoint_refusal("unix:///" + std::string(106, 'x')), "");
    EXPECT_THAT(endpoint_refusal("unix:///" + std::string(107, 'x')), HasSubstr("at most 107"));
    EXPECT_EQ(endpoint_refusal("unix://@" + std::string(107, 'x')), "");
    EXPECT_THAT(endpoint_refusal("unix://@" + std::string(108, 'x')), HasSubstr("at most 107"));
}

TEST(Endpoint, a_passed_socket_has_a_name_that_systemd_allows) {
    for (const std::string& text :
         {std::string{"fd://"}, std::string{"fd://a:b"}, "fd://" + std::string(256, 'x'), std::string{"fd://\xc3\xbc"}})
        EXPECT_NE(endpoint_refusal(text), "") << text;
    EXPECT_EQ(endpoint_refusal("fd://" + std::string(255, 'x')), "");
}

TEST(Endpoint, hostile_text_is_refused_in_one_printable_line) {
    EXPECT_THAT(endpoint_refusal(""), HasSubstr("empty"));
    EXPECT_THAT(endpoint_refusal(std::string_view{"tcp://a\0b:80", 12}), HasSubstr("\\x00"));
    EXPECT_THAT(endpoint_refusal(std::string_view{"unix:///a\0b", 11}), HasSubstr("control character"));
    EXPECT_THAT(endpoint_refusal("unix:///run/x\nunix:///y"), HasSubstr("control character"));
    EXPECT_NE(endpoint_refusal("tcp://\x1b[2J:80"), "");
    EXPECT_NE(endpoint_refusal("\xff\xfe://:80"), "");
    EXPECT_NE(endpoint_refusal("tcp://\xff\xfe:80"), "");
    EXPECT_NE(endpoint_refusal("tcp://:\xe2\x80\xae"
                               "08"),
              "");
    for (const char c : {'a', ':', '[', ']', '/', '@', '9', '%', '\xff', '\0', ' '}) {
        const std::string many(100'000, c);
        for (const char* start : {"", "tcp://", "tcp://[", "tcp://[::1]", "unix://", "unix:///", "unix:", "fd://", ":"})
            EXPECT_NE(endpoint_refusal(start + many), "") << start << " and many " << in_quotes(std::string(1, c));
    }
}

TEST(Endpoint, what_is_printed_is_read_back) {
    for (const char* text :
         {"tcp://127.0.0.1:80", "tcp://[::1]:80", "tcp://:0", "udp://localhost:53", "unix:///run/x", "unix://@x",
          "unixgram:///run/x", "unixgram://@x", "fd://x", "tcp://[fe80::1%lo]:1", "unix:///a b#c", "unix://@@"})
        EXPECT_EQ(to_string(parse_endpoint(text)), text);
}

TEST(Endpoint, an_address_is_printed_without_its_scheme) {
    EXPECT_EQ(address_of(parse_endpoint("tcp://127.0.0.1:80")), "127.0.0.1:80");
    EXPECT_EQ(address_of(parse_endpoint("udp://[::1]:80")), "[::1]:80");
    EXPECT_EQ(address_of(parse_endpoint("unix:///run/x")), "/run/x");
    EXPECT_EQ(address_of(parse_endpoint("unix://@x")), "@x");
    EXPECT_EQ(address_of(parse_endpoint("fd://x")), "x");
    EXPECT_EQ(address_of(Endpoint{.transport = Transport::Unix}), "unnamed");
}

TEST(Endpoint, a_transport_is_printed_as_its_scheme) {
    EXPECT_EQ(to_string(Transport::Tcp), "tcp");
    EXPECT_EQ(to_string(Transport::Udp), "udp");
    EXPECT_EQ(to_string(Transport::Unix), "unix");
    EXPECT_EQ(to_string(Transport::UnixDatagram), "unixgram");
    EXPECT_EQ(to_string(Transport::Passed), "fd");
}

}  // namespace
}  // namespace preforkd
