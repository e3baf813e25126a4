#pragma once
// What a listener that speaks TLS needs of its files, made once for a generation and inherited by its workers.
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/config/tls_settings.hpp"
#include "common/tls/certificate.hpp"
#include "common/tls/openssl.hpp"
#include "common/tls/remote_key.hpp"
#include "common/tls/ticket_keys.hpp"

namespace preforkd {

/// Certificates, keys and rules of one listener.
///
/// A certificate stands for the host names in it.  A client that names one of them gets what is for that name: of each
/// kind of key (EC, RSA) the first that has it, or else the first with a wildcard for it.  Any other client gets what
/// is for the first name of the first certificate.
class TlsContext {
public:
    /// The text of a file; throws when it cannot be read.
    using ReadFile = std::function<std::string(const std::string& key, const std::string& file)>;

    /// `listener`: its endpoint; a session that was begun at another is not resumed.  `keys`: of tickets, unless the
    /// settings name a file of them.  `signer`: of a listener with a key process, whose private keys are not read.
    /// Throws OperatorError (Configuration) with a sentence that names key and file, what `read` throws, and
    /// std::runtime_error if OpenSSL cannot be loaded.
    TlsContext(const TlsSettings& settings, std::string_view listener, std::shared_ptr<TicketKeys> keys,
               const ReadFile& read, std::shared_ptr<Signer> signer = {});
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    /// For SSL_new(3).
    [[nodiscard]] SSL_CTX* get() const noexcept { return contexts_.front().get(); }

    [[nodiscard]] std::chrono::milliseconds handshake_timeout() const noexcept { return handshake_timeout_; }

    /// The certificate that expires first.
    struct Expiry {
        std::string file{};
        std::chrono::system_clock::time_point end{};
    };
    [[nodiscard]] const Expiry& first_expiry() const noexcept { return first_expiry_; }

    /// Its certificates, whose private keys are another process's; none: they are this one's.
    [[nodiscard]] std::vector<X509*> certificates_of_remote_keys() const;

private:
    struct Pair {
        CertificateChain chain{};
        KeyPtr key{};  ///< null: it is remote
        std::unique_ptr<RemoteKey> remote{};
        int kind = 0;  ///< EC, RSA, ...
        std::vector<std::string> names{};
    };
    using Numbers = std::vector<std::size_t>;  ///< of pairs

    void read_pairs(const TlsSettings& settings, const ReadFile& read);
    void read_others(const TlsSettings& settings, const ReadFile& read);
    void make_contexts(const TlsSettings& settings);
    [[nodiscard]] SslContextPtr make_context(const TlsSettings& settings, const Numbers& pairs);
    void ask_for_certificates(SSL_CTX* context, const TlsSettings& settings) const;
    [[nodiscard]] Numbers pairs_for(std::string_view name) const;
    [[nodiscard]] SSL_CTX* context_for(std::string_view name) const;

    static int choose_by_name(SSL* ssl, int* alert, void* self);
    static int choose_protocol(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_bytes,
                               const unsigned char* offered, unsigned offered_bytes, void* self);
    static int protect_ticket(SSL* ssl, unsigned char* name, unsigned char* vector, EVP_CIPHER_CTX* cipher,
                              EVP_MAC_CTX* mac, int encrypts);
    static int staple(SSL* ssl, void* context);

    std::vector<Pair> pairs_{};
    std::vector<CertificatePtr> client_authorities_{};
    std::vector<CrlPtr> revocations_{};
    std::shared_ptr<TicketKeys> ticket_keys_;
    std::shared_ptr<Signer> signer_;
    std::string ocsp_{};
    std::string alpn_{};      ///< protocol_list()
    std::string identity_{};  ///< what a session is bound to: by its hash, as OpenSSL's session id context
    std::chrono::milliseconds handshake_timeout_;
    Expiry first_expiry_{};
    std::map<std::string, SSL_CTX*, std::less<>> by_name_{};
    std::vector<SslContextPtr> contexts_{};  ///< the first one for who names nothing that we have
};

/// Reads the files in this process: TlsContext::ReadFile.  Throws OperatorError: NoPermission where that is why.
[[nodiscard]] std::string read_tls_file(const std::string& key, const std::string& file);

}  // namespace preforkd
