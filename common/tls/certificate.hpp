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

[[nodiscard]] PeerCertificate describe_certificate(X509* certificate);

/// The host names that it is for, in lower case: its DNS names, or where it has none its common name.
[[nodiscard]] std::vector<std::string> host_names_of(X509* certificate);

/// When it expires.
[[nodiscard]] std::chrono::system_clock::time_point end_of(X509* certificate);

}  // namespace preforkd
