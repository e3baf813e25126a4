#pragma once
// A private key that another process has.
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "common/tls/openssl.hpp"
#include "common/tls/signer.hpp"

namespace preforkd {

/// Stands for the private key of a certificate wherever OpenSSL wants one, and has `signer` sign what is to be signed.
///
/// OpenSSL 3 takes it for a key of an engine's: it does all that comes before and after by itself, such as the padding
/// of PSS, and calls one function for what takes the secret.  So it signs, and neither decrypts nor agrees on a key.
class RemoteKey {
public:
    /// `certificate` and `signer` outlive it, and it outlives all connections with the key.  Throws
    /// std::invalid_argument for a key that is neither RSA nor EC, std::runtime_error for want of memory.
    RemoteKey(X509* certificate, Signer& signer);
    RemoteKey(const RemoteKey&) = delete;
    RemoteKey& operator=(const RemoteKey&) = delete;

    [[nodiscard]] EVP_PKEY* get() const noexcept { return key_.get(); }

private:
    struct Methods;

    [[nodiscard]] std::optional<int> sign(SigningKind kind, const unsigned char* bytes, int size,
                                          unsigned char* signature) const noexcept;

    KeyName name_;
    Signer& signer_;
    std::size_t largest_signature_bytes_ = 0;
    KeyPtr key_{};
};

}  // namespace preforkd
