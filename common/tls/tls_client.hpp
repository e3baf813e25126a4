#pragma once
// The client's end of TLS: whom it believes, and what it shows of itself.
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/tls/certificate.hpp"
#include "common/tls/openssl.hpp"
#include "common/tls/tls_stream.hpp"

namespace preforkd {

struct TlsClientSettings {
    /// A host name or IP address that the server's certificate has to be for; a name is asked for as well (SNI).
    /// Empty: for any, and none is asked for.
    std::string server_name{};
    bool verifies = true;
    /// Whether distrust() and was_asked_for_certificate() are wanted, which takes one stream at a time, in one thread.
    bool explains = true;
    std::optional<CertificateChain> authorities{};  ///< to believe instead of the system's; also a server's own
    std::optional<CertificateChain> certificate{};  ///< to show to a server that asks for one
    KeyPtr key{};                                   ///< of that
    std::vector<std::string> alpn{};                ///< protocols, the preferred one first
};

/// Why a server is not believed.
struct Distrust {
    int error = 0;                 ///< X509_V_ERR_...
    std::string reason{};          ///< the same in OpenSSL's words
    bool is_of_authority = false;  ///< not the server's certificate is at fault, but one above it
    PeerCertificate certificate{};
    std::chrono::system_clock::time_point end{};  ///< of its validity
};

/// Outlives its streams.
class TlsClient {
public:
    /// Throws std::runtime_error with OpenSSL's sentence, as for a key that is not the certificate's.
    explicit TlsClient(TlsClientSettings settings);
    TlsClient(const TlsClient&) = delete;
    TlsClient& operator=(const TlsClient&) = delete;

    /// A stream on `fd`, which is borrowed; its handshake fails if the server is not believed.
    [[nodiscard]] std::unique_ptr<TlsStream> connect(int fd);

    /// What the last server was refused for, or would have been.
    [[nodiscard]] const std::optional<Distrust>& distrust() const noexcept { return distrust_; }

    /// Whether a server has asked for a certificate.
    [[nodiscard]] bool was_asked_for_certificate() const noexcept { return was_asked_; }

private:
    void trust_authorities();
    void show_certificate();
    void offer_protocols();
    static int verify(X509_STORE_CTX* store, void* client) noexcept;

    TlsClientSettings settings_;
    SslContextPtr context_;
    std::optional<Distrust> distrust_{};
    bool was_asked_ = false;
};

}  // namespace preforkd
