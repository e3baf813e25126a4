#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "common/config/listen_settings.hpp"

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr std::string_view pair = "certificate=c.pem key=k.pem ";

/// The sentence with which an endpoint with these keys is refused; empty if it is not.
std::string rows_refusal(std::string_view keys, std::string_view endpoint = "tls://:443 ") {
    try {
        (void)parse_listen(std::string{endpoint}.append(keys));
        return {};
    } catch (const std::invalid_argument& error) { return error.what(); }
}

std::string refusal_of(std::string_view key, std::string_view endpoint = "tls://:443 ") {
    return rows_refusal(std::string{pair}.append(key), endpoint);
}

TlsSettings settings_of(std::string_view keys) { return *parse_listen(std::string{"tls://:443 "}.append(keys)).tls; }

TEST(TlsRows, every_key_is_read) {
    EXPECT_EQ(
        settings_of("certificate=a.pem key=a.key certificate=b.pem key=b.key client-ca=ca.pem client-cert=optional "
                    "crl=crl.pem alpn=h2,http/1.1 tls-min=1.3 ciphers=ECDHE+AESGCM ocsp=o.der tickets=0 "
                    "ticket-keys=t.key handshake-timeout=1500ms eof=lax key-process=yes"),
        (TlsSettings{.certificates = {"a.pem", "b.pem"},
                     .keys = {"a.key", "b.key"},
                     .client_ca = "ca.pem",
                     .client_certificate = ClientCertificate::Optional,
                     .crl = "crl.pem",
                     .alpn = {"h2", "http/1.1"},
                     .minimum = TlsVersion::Tls13,
                     .ciphers = "ECDHE+AESGCM",
                     .ocsp = "o.der",
                     .ticket_keys = "t.key",
                     .tickets = 0,
                     .handshake_timeout = 1500ms,
                     .end = TlsEnd::Lax,
                     .key_process = true}));
}

TEST(TlsRows, a_pair_is_all_that_is_needed) {
    EXPECT_EQ(settings_of(pair), (TlsSettings{.certificates = {"c.pem"}, .keys = {"k.pem"}}));
    for (const char* endpoint : {"tls+unix:///run/x ", "tls+unix://@x ", "tls+fd://x ", "tls://[::1]:443 "})
        EXPECT_EQ(rows_refusal(pair, endpoint), "") << endpoint;
}

TEST(TlsRows, what_is_printed_is_read_back) {
    for (const char* text : {"tls://127.0.0.1:443 certificate=c key=k", "tls+fd://web certificate=c key=k tickets=2",
                             "tls+unix://@x certificate=a certificate=b key=a key=b eof=lax key-process=yes",
                             "tls://127.0.0.1:443 backlog=5 allow=10.0.0.0/8 certificate=c key=k client-ca=x "
                             "client-cert=require crl=y alpn=a,b tls-min=1.3 ciphers=X ocsp=z handshake-timeout=1m"}) {
        const ListenSettings settings = parse_listen(text);
        EXPECT_EQ(to_string(settings), text);
        EXPECT_EQ(parse_listen(to_string(settings)), settings);
    }
}

TEST(TlsRows, a_certificate_needs_its_key) {
    for (const char* keys :
         {"", "certificate=c", "key=k", "certificate=c key=k key=l", "certificate=c certificate=d key=k"})
        EXPECT_THAT(rows_refusal(keys), HasSubstr("as many of one as of the other")) << keys;
}

TEST(TlsRows, what_would_protect_nothing_is_refused) {
    EXPECT_THAT(refusal_of("client-cert=require"), HasSubstr("client-cert= needs client-ca="));
    EXPECT_THAT(refusal_of("client-cert=optional"), HasSubstr("client-cert= needs client-ca="));
    EXPECT_THAT(refusal_of("crl=x"), HasSubstr("crl= needs client-ca="));
}

TEST(TlsRows, a_bad_value_is_answered_with_the_key_and_what_is_expected) {
    for (const std::string_view key :
         {"client-cert=no", "tls-min=1.1", "tls-min=", "alpn=", "alpn=a,,b", "tickets=-1", "tickets=17",
          "ocsp=", "handshake-timeout=0", "handshake-timeout=soon", "eof=never", "ciphers=", "key-process=maybe"})
        EXPECT_THAT(refusal_of(key), HasSubstr(std::string{key.substr(0, key.find('='))}.append(": expected"))) << key;
    EXPECT_THAT(refusal_of(std::string{"alpn="}.append(256, 'x')), HasSubstr("alpn: expected names of protocols"));
    EXPECT_EQ(refusal_of(std::string{"alpn="}.append(255, 'x')), "");
}

TEST(TlsRows, a_key_of_tls_fits_no_other_endpoint) {
    for (const char* endpoint : {"tcp://:1 ", "unix:///x ", "fd://x ", "udp://:1 "})
        EXPECT_THAT(rows_refusal(pair, endpoint), HasSubstr("certificate= does not fit")) << endpoint;
}

TEST(TlsRows, keys_of_the_address_fit_as_without_tls) {
    EXPECT_EQ(refusal_of("backlog=5 nodelay=no proxy=10.0.0.0/8 handler=echo linger=off"), "");
    EXPECT_EQ(refusal_of("mode=0600", "tls+unix:///x "), "");
    EXPECT_THAT(refusal_of("mode=0600"), HasSubstr("mode= does not fit tls"));
    EXPECT_THAT(refusal_of("backlog=5", "tls+fd://x "), HasSubstr("socket unit"));
}

TEST(TlsRows, what_is_wrong_with_the_address_is_said_of_the_endpoint_as_it_was_written) {
    EXPECT_THAT(rows_refusal(pair, "tls://127.0.0.1 "), testing::StartsWith("\"tls://127.0.0.1\": below TLS, "));
}

TEST(TlsRows, a_passed_socket_has_to_be_a_stream) {
    const ListenSettings settings = parse_listen("tls+fd://x certificate=c key=k");
    EXPECT_EQ(why_not_for(settings, Transport::Tcp), std::nullopt);
    EXPECT_EQ(why_not_for(settings, Transport::Unix), std::nullopt);
    for (const Transport transport : {Transport::Udp, Transport::UnixDatagram})
        EXPECT_THAT(why_not_for(settings, transport).value_or(""), HasSubstr("TLS needs a stream"));
}

}  // namespace
}  // namespace preforkd
