#include "daemon/ctl/tls_sentences.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "common/base/quoted.hpp"
#include "daemon/ctl/date_text.hpp"

namespace preforkd {
namespace {

constexpr std::size_t most_names = 8;

/// `localhost, 127.0.0.1 and 3 more`.
std::string names_of(const PeerCertificate& certificate) {
    std::vector<std::string> names;
    for (const std::string& name : certificate.names)
        if (name.starts_with("DNS:") || name.starts_with("IP:"))
            names.push_back(printable(name.substr(name.find(':') + 1)));
    if (names.empty()) return "no name";
    const std::size_t more = names.size() - std::min(names.size(), most_names);
    names.resize(names.size() - more);
    return fmt::format("{}{}", fmt::join(names, ", "), more == 0 ? "" : fmt::format(" and {} more", more));
}

std::string untrusted(const TlsRequest& request, bool is_self_signed) {
    if (request.authorities)
        return fmt::format("its certificate is not from the authority in --ca {}; name the one that it is from",
                           printable(*request.authorities));
    if (is_self_signed)
        return "its certificate is self-signed, and not trusted here; if it is the right one, name a copy with --ca "
               "FILE";
    return "its certificate is from an authority that is not trusted here; if it should be, name it with --ca FILE";
}

/// Alerts about what we have shown, or have not.
std::string certificate_sentence(const TlsFailure& failure, const TlsRequest& request) {
    if (!request.certificate) return "it wants a certificate; name one with --cert and --key";
    constexpr std::string_view before = " alert ";  // `sslv3 alert certificate expired`, whatever was spoken
    const std::size_t at = failure.text.rfind(before);
    const std::string why = at == std::string::npos ? failure.text : failure.text.substr(at + before.size());
    return fmt::format("it does not accept --cert {} ({})", printable(*request.certificate), why);
}

std::string broken_sentence(const TlsFailure& failure, const TlsRequest& request) {
    const bool cut_off = failure.error == std::errc::connection_aborted;
    if (!failure.in_handshake && cut_off)
        return "the answer was cut off: the connection ended without a close_notify of TLS";
    std::string sentence = failure.in_handshake ? "TLS handshake: " : "read the answer: ";
    sentence += cut_off ? "it has ended the connection" : failure.error.message();
    if (failure.asked_for_certificate)
        return sentence + (request.certificate ? "; it may not accept --cert"
                                               : "; it has asked for a certificate: name one with --cert and --key");
    if (failure.in_handshake && cut_off) sentence += fmt::format("; without TLS it would be {}", failure.without_tls);
    return sentence;
}

}  // namespace

std::string distrust_sentence(const Distrust& distrust, const TlsRequest& request) {
    const std::string whose = distrust.is_of_authority
                                  ? fmt::format("the certificate of its authority ({})", distrust.certificate.subject)
                                  : "its certificate";
    switch (distrust.error) {
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
            return fmt::format("its certificate is for {}, not for {}; ask for one of its names with --servername NAME",
                               names_of(distrust.certificate), printable(request.server_name));
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return fmt::format("{} has expired on {}; it has to be renewed there", whose, date_text(distrust.end));
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return fmt::format("{} is not valid yet; is the clock right, here and where it was made?", whose);
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: return untrusted(request, true);
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: return untrusted(request, false);
        case X509_V_ERR_INVALID_PURPOSE:
            return fmt::format("{} is not for servers; it needs serverAuth in its extended key usage", whose);
        default: return fmt::format("{} is not accepted: {}", whose, distrust.reason);
    }
}

std::string failure_sentence(const TlsFailure& failure, const TlsRequest& request) {
    if (failure.text.empty()) return broken_sentence(failure, request);
    switch (failure.reason) {
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_UNEXPECTED_MESSAGE:
        case SSL_R_PACKET_LENGTH_TOO_LONG:
        case SSL_R_RECORD_LENGTH_MISMATCH:
            if (!failure.in_handshake) break;
            return fmt::format("it does not speak TLS; without it: {}", failure.without_tls);
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return "it speaks no TLS of version 1.2 or later";
        case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
            return fmt::format("it speaks none of --alpn {}",
                               printable(fmt::format("{}", fmt::join(request.alpn, ","))));
        case SSL_R_TLSV1_UNRECOGNIZED_NAME:
            return fmt::format("it does not know the name {}; ask for another with --servername NAME",
                               printable(request.server_name));
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        case SSL_R_TLSV1_ALERT_DECRYPT_ERROR: return certificate_sentence(failure, request);
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
            if (failure.asked_for_certificate) return certificate_sentence(failure, request);
            return "it refuses the handshake: the two have no cipher or kind of key in common";
        default: break;
    }
    return fmt::format("TLS: {}", failure.text);
}

std::string facts_sentence(const Tls& facts, const TlsRequest& request) {
    std::string sentence = fmt::format("{}, {}", facts.version, facts.cipher);
    if (!request.alpn.empty()) sentence += fmt::format(", {}", facts.alpn.empty() ? "no ALPN" : printable(facts.alpn));
    if (facts.certificate)
        sentence += fmt::format("; certificate of {} for {}, {}", facts.certificate->subject,
                                names_of(*facts.certificate), facts.verified ? "verified" : "not to be trusted");
    return sentence;
}

}  // namespace preforkd
