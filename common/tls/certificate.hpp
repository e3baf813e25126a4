#pragma once
// Certificates: reading them from text, and what they say.
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "common/tls/openssl.hpp"
#include "preforkd/tls.hpp"

namespace preforkd {

/// A certificate and those that lead from it to its root, as a file has them in a row.
struct CertificateChain {
    CertificatePtr certificate{};
    std::vector<CertificatePtr> others{};
};

/// Reads PEM.  Throws std::invalid_argument with a sentence.
[[nodiscard]] CertificateChain read_certificates(std::string_view pem);
[[nodiscard]] KeyPtr read_private_key(std::string_view pem);
[[nodiscard]] std::vector<CrlPtr> read_revocations(std::string_view pem);

/// Whether a context can show `chain`, whose key is `key`; else OpenSSL's queue says why not.
[[nodiscard]] bool use_certificate(SSL_CTX* context, const CertificateChain& chain, EVP_PKEY* key);

/// Whether `name` is an IP address, as a certificate may be for one.
[[nodiscard]] bool is_ip_address(const std::string& name);

/// Names of protocols as OpenSSL takes them: each with its length in front.  Source: RFC 7301, 3.1.
[[nodiscard]] std::string protocol_list(const std::vector<std::string>& names);

[[nodiscard]] PeerCertificate describe_certificate(X509* certificate);

/// The host names that it is for, in lower case: its DNS names, or where it has none its common name.
[[nodiscard]] std::vector<std::string> host_names_of(X509* certificate);

/// When it expires.
[[nodiscard]] std::chrono::system_clock::time_point end_of(X509* certificate);

}  // namespace preforkd
