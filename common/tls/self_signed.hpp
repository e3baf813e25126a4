#pragma once
// A certificate that nobody but its owner vouches for: for a first try, and for machines that know each other.
#include <chrono>
#include <string>
#include <vector>

#include "common/tls/openssl.hpp"

namespace preforkd {

/// As PEM.
struct CertificatePair {
    std::string certificate{};
    std::string key{};
};

/// For a server called `names`: host names (`*.example.org`, too) and IP addresses, as given, the first of them its
/// subject.  A new P-256 key, which signs nothing but handshakes; valid from an hour ago, for clocks that are behind.
/// Throws std::runtime_error with OpenSSL's sentence, also for a name that is neither.
[[nodiscard]] CertificatePair make_self_signed(const std::vector<std::string>& names, std::chrono::days valid);

}  // namespace preforkd
