#include "daemon/ctl/tls_sentences.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace preforkd {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::chrono::system_clock::time_point day = std::chrono::sys_days{std::chrono::year{2026} / 2 / 3};

std::string sentence_of(Distrust distrust) { return distrust_sentence(distrust, {.server_name = "a.example"}); }

TEST(TlsSentences, a_certificate_for_others_tells_for_whom) {
    Distrust distrust{.error = X509_V_ERR_HOSTNAME_MISMATCH,
                      .certificate = {.names = {"DNS:b.example", "email:x@b.example", "IP:192.0.2.1", "DNS:\n"}}};
    EXPECT_THAT(sentence_of(distrust), HasSubstr(R"(is for b.example, 192.0.2.1, \n, not for a.example;)"));
    distrust.certificate.names.assign(11, "DNS:b");
    EXPECT_THAT(sentence_of(distrust), HasSubstr("for b, b, b, b, b, b, b, b and 3 more, not"));
    EXPECT_THAT(sentence_of({.error = X509_V_ERR_IP_ADDRESS_MISMATCH}), HasSubstr("is for no name, not for"));
}

TEST(TlsSentences, time_is_told_of_the_certificate_that_is_out_of_it) {
    EXPECT_THAT(sentence_of({.error = X509_V_ERR_CERT_HAS_EXPIRED, .end = day + 5h}),
                HasSubstr("its certificate has expired on 2026-02-03;"));
    EXPECT_THAT(sentence_of({.error = X509_V_ERR_CERT_HAS_EXPIRED,
                             .is_of_authority = true,
                             .certificate = {.subject = "CN=root"},
                             .end = day}),
                HasSubstr("the certificate of its authority (CN=root) has expired on 2026-02-03;"));
    EXPECT_THAT(sentence_of({.error = X509_V_ERR_CERT_NOT_YET_VALID}), HasSubstr("not valid yet; is the clock right"));
}

TEST(TlsSentences, whom_to_trust_depends_on_who_was_named) {
    EXPECT_THAT(sentence_of({.error = X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT}), HasSubstr("a copy with --ca FILE"));
    EXPECT_THAT(sentence_of({.error = X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN}), HasSubstr("name it with --ca FILE"));
    for (const int error : {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY})
        EXPECT_THAT(distrust_sentence({.error = error}, {.authorities = "my.pem"}),
                    AllOf(HasSubstr("not from the authority in --ca my.pem"), Not(HasSubstr("FILE"))));
    EXPECT_THAT(sentence_of({.error = X509_V_ERR_CERT_REVOKED, .reason = "certificate revoked"}),
                HasSubstr("is not accepted: certificate revoked"));
}

TEST(TlsSentences, a_certificate_that_a_server_refuses_is_named_with_the_reason) {
    const TlsFailure failure{.reason = SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED,
                             .text = "sslv3 alert certificate expired"};
    EXPECT_EQ(failure_sentence(failure, {.certificate = "my.pem"}),
              "it does not accept --cert my.pem (certificate expired)");
    EXPECT_THAT(failure_sentence(failure, {}), HasSubstr("name one with --cert and --key"));
}

TEST(TlsSentences, a_handshake_that_fails_is_about_a_certificate_only_where_one_was_asked_for) {
    TlsFailure failure{
        .reason = SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, .text = "sslv3 alert handshake failure", .in_handshake = true};
    EXPECT_THAT(failure_sentence(failure, {}), HasSubstr("no cipher or kind of key in common"));
    failure.asked_for_certificate = true;
    EXPECT_THAT(failure_sentence(failure, {}), HasSubstr("--cert"));
}

TEST(TlsSentences, a_broken_connection_says_when_and_what_to_try) {
    TlsFailure failure{
        .error = std::make_error_code(std::errc::connection_aborted), .in_handshake = true, .without_tls = "tcp://h:1"};
    EXPECT_THAT(failure_sentence(failure, {}), HasSubstr("without TLS it would be tcp://h:1"));
    failure.in_handshake = false;
    EXPECT_THAT(failure_sentence(failure, {}), HasSubstr("cut off"));
    failure.error = std::make_error_code(std::errc::connection_reset);
    EXPECT_EQ(failure_sentence(failure, {}), "read the answer: Connection reset by peer");
    failure.asked_for_certificate = true;
    EXPECT_THAT(failure_sentence(failure, {}), HasSubstr("; it has asked for a certificate: name one with --cert"));
    EXPECT_THAT(failure_sentence(failure, {.certificate = "my.pem"}), HasSubstr("; it may not accept --cert"));
}

TEST(TlsSentences, what_two_have_agreed_on_is_told) {
    const Tls facts{.version = "TLSv1.3", .cipher = "X", .certificate = PeerCertificate{.subject = "CN=a"}};
    EXPECT_EQ(facts_sentence(facts, {}), "TLSv1.3, X; certificate of CN=a for no name, not to be trusted");
    EXPECT_THAT(facts_sentence(facts, {.alpn = {"h2"}}), HasSubstr("X, no ALPN;"));
}

}  // namespace
}  // namespace preforkd
